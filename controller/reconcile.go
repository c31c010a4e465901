package controller

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/schemawave/schemawave/events"
)

// reconciler carries out what decide decides, one database at a time and each database by one worker only.
type reconciler struct {
	Options
	world    world
	captures *captures
	people   people
	healer   healer
	metrics  *metrics
	memory   memory
}

// Reconcile is one pass over one database: read the world, decide by it and by what is published, publish what is missing, and
// only then forget, delete and heal. Any error leaves the rest undone, and the queue tries the whole pass again with backoff.
func (r *reconciler) Reconcile(ctx context.Context, t target) (reconcile.Result, error) {
	again, err := r.pass(ctx, t)
	if ctx.Err() != nil {
		return reconcile.Result{}, nil // the end of the process, not of the pass: the next leader looks again
	}
	return reconcile.Result{RequeueAfter: again}, err
}

// pass returns after what time to look again although nothing may have happened; zero: only when something has.
func (r *reconciler) pass(ctx context.Context, t target) (time.Duration, error) {
	captured := r.captures.peek(t)
	o, err := r.world.observe(ctx, t, captured)
	if err != nil {
		return 0, err
	}
	if slices.ContainsFunc(o.Applications, func(a application) bool { return a.Awaited }) {
		return time.Second, nil
	}
	era := r.memory.begin()
	o, d, err := r.weigh(ctx, o)
	if err != nil {
		return 0, err
	}
	r.memory.doubt(r.Log, t, d.Doubts)
	state, err := r.publish(ctx, era, o, d)
	if err == nil && o.gone() {
		r.memory.forget(t)
		r.metrics.forget(t)
		r.captures.release(t, captured, func(capture) bool { return false })
		return 0, nil
	}
	r.metrics.show(o, state, d)
	if err != nil {
		return 0, err
	}
	if v := d.Unversioned; v != nil && r.memory.unversioned(t, v.Attempt.Run) {
		r.people.warn(ctx, v.Attempt.Application, reasonUnversioned, fmt.Sprintf("nothing is ready of %s: %s", t, v.whyUnversioned()))
	}
	if v := d.Taken; v != nil && r.memory.taken(t, v.Attempt.Application) {
		r.people.warn(ctx, v.Attempt.Application, reasonTaken, fmt.Sprintf("nothing is said about its %s: %s", t, v.Why))
	}
	r.captures.release(t, captured, o.awaits)
	if err := r.collect(ctx, d.Collect); err != nil || r.Heal != HealSync || state.Obstacle == nil {
		return o.Again, err
	}
	why, err := r.healer.heal(ctx, *state.Obstacle)
	r.memory.unhealed(r.Log, t, *state.Obstacle, why)
	return o.Again, err
}

// weigh decides by the state that was the last when the pass before ended. If it no longer is, NATS refuses what would follow from it, and
// the pass fails. Where nothing would, NATS is asked for it, for what is published may have been lost, or replaced.
func (r *reconciler) weigh(ctx context.Context, o observation) (observation, decision, error) {
	if last, ok := r.memory.last(o.Target); ok && !o.gone() {
		o, d, err := r.decide(ctx, o, last)
		if err != nil || r.news(o, d) {
			return o, d, err
		}
	}
	read, cancel := context.WithTimeout(ctx, r.PublishTimeout)
	defer cancel()
	state, revision, err := r.Publisher.State(read, o.Target.Environment, o.Target.Database, "")
	r.metrics.published("read", err)
	if err != nil {
		return o, decision{}, fmt.Errorf("read the state of %s: %w", o.Target, err)
	}
	return r.decide(ctx, o, lastState{state, revision})
}

func (r *reconciler) decide(ctx context.Context, o observation, last lastState) (observation, decision, error) {
	o.State, o.Revision = last.state, last.revision
	if !o.gone() {
		if err := r.world.owner(ctx, &o); err != nil {
			return o, decision{}, err
		}
	}
	return o, decide(o), nil
}

// news reports whether there is something to publish.
func (r *reconciler) news(o observation, d decision) bool {
	untold := func(e events.Event) bool { return !r.memory.told(o.Target, e.ID) }
	return slices.ContainsFunc(held(o.State), untold) ||
		slices.ContainsFunc(d.Publications, func(p publication) bool { return p.State != nil || untold(p.Event) })
}

// publish carries out the publications in order and returns the state that is then published.
func (r *reconciler) publish(ctx context.Context, era int, o observation, d decision) (events.State, error) {
	out := &outlet{
		publisher: r.Publisher, timeout: r.PublishTimeout, counted: r.metrics.published,
		state: o.State, revision: o.Revision, told: map[string]bool{}, known: func(id string) bool { return r.memory.told(o.Target, id) },
		absent: r.absent, stated: func(p publication) { r.announce(ctx, p) }, said: func(p publication) { r.told(ctx, p) },
	}
	if err := out.publish(ctx, d.Publications); err != nil {
		r.memory.mistrust(o.Target)
		return out.state, err
	}
	r.memory.tell(o.Target, era, lastState{out.state, out.revision}, out.told)
	return out.state, nil
}

// told notes that a fact is out.
func (r *reconciler) told(ctx context.Context, p publication) {
	if p.State == nil {
		if p.Event.Predicate == events.Started {
			r.announce(ctx, p)
		}
		return
	}
	if r.Published != nil {
		r.Published(p.Event)
	}
	if p.Event.Predicate == events.Succeeded || p.Event.Predicate == events.Failed {
		r.metrics.lag.Observe(time.Since(p.Event.Time).Seconds())
	}
}

// absent makes sure, by asking the API server itself, that the Job for which Argo CD speaks is not there: the cache may be
// about to learn of it, and the Job knows better whose schema it migrates.
func (r *reconciler) absent(ctx context.Context, p publication) error {
	var j metav1.PartialObjectMetadata
	j.SetGroupVersionKind(batchv1.SchemeGroupVersion.WithKind("Job"))
	at := r.world.places.at(p.Absent.Cluster)
	if at == nil {
		return fmt.Errorf("job %s cannot be read any more: look again", p.Absent.Key)
	}
	err := at.live.Get(ctx, p.Absent.Key, &j)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("look for job %s: %w", p.Absent.Key, err)
	case madeSince(&j, p.Absent.Next), j.UID == p.Absent.Than:
		return nil
	}
	return fmt.Errorf("job %s is not in the cache yet: look again", p.Absent.Key)
}

// announce tells people what has just been published.
func (r *reconciler) announce(ctx context.Context, p publication) {
	level := slog.LevelInfo
	switch {
	case p.Event.Predicate == events.Failed:
		level = slog.LevelError
	case p.Event.Predicate.Obstructs():
		level = slog.LevelWarn
	}
	a := p.Event.Attempt
	r.Log.Log(ctx, level, p.Event.Reason, "event", p.Event.Predicate, "environment", p.Event.Environment,
		"database", p.Event.Database, "version", a.Version, "digest", a.Digest, "revision", a.Revision,
		"application", a.Application, "evidence", a.Evidence, "run", a.Run)
	if r.Heal == HealOff && p.Event.Predicate.Obstructs() {
		return
	}
	r.people.tell(ctx, p.Event)
}

// collect deletes finished Jobs, each only if it is still the one that was looked at.
func (r *reconciler) collect(ctx context.Context, jobs []job) error {
	for _, j := range jobs {
		at := r.world.places.at(j.Cluster)
		if at == nil {
			continue
		}
		log := r.Log
		if j.Cluster != "" {
			log = log.With("cluster", j.Cluster)
		}
		var obj batchv1.Job
		obj.Namespace, obj.Name = j.Key.Namespace, j.Key.Name
		err := at.jobs.Delete(ctx, &obj, client.Preconditions{UID: &j.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
		switch {
		case err == nil:
			log.InfoContext(ctx, "deleted a superseded job", "job", j.Key.String(), "version", j.Version, "digest", j.Digest)
		case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		case apierrors.IsForbidden(err):
			r.memory.once(log, "superseded jobs are left in the cluster: deleting them is forbidden; grant delete on jobs", "error", err)
			return nil
		default:
			return fmt.Errorf("delete superseded job %s: %w", j.Key, err)
		}
	}
	return nil
}
