package controller

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/migrations"
)

// simTruth holds what is published against what really happened.
type simTruth struct {
	world  *simWorld
	broker *simBroker
	only   bool // Applications are seen only
	ready  map[string]events.Ready
	last   map[string]time.Time // the end of the newest result that was told, by database
	told   map[string]int
	heals  int
	wrong  []string
}

func (t *simTruth) fault(format string, args ...any) {
	t.wrong = append(t.wrong, fmt.Sprintf(format, args...))
}

// simShown names what an object tells whoever is shown it.
func simShown(obj client.Object) []string {
	switch o := obj.(type) {
	case *batchv1.Job:
		if len(o.Status.Conditions) > 0 {
			return []string{string(o.UID)}
		}
	case *corev1.Pod:
		if o.Status.Phase == corev1.PodRunning {
			return []string{string(o.UID) + " runs"}
		}
		return []string{string(o.UID) + " ended"}
	case *argo.Application:
		op, ok := newOperation(o.Status.OperationState)
		if !ok {
			return nil
		}
		var facts []string
		name := fmt.Sprintf("%s/%s@%s", o.Namespace, o.Name, op.Started.Format(time.RFC3339))
		for _, r := range op.Results {
			if r.Phase != "Running" {
				facts = append(facts, fmt.Sprintf("%s %s %s", name, r.Key.Name, r.Message))
			}
		}
		if !op.running() {
			facts = append(facts, name)
		}
		return facts
	}
	return nil
}

// name is that of an operation's attempts.
func (o *simOperation) name() string {
	return fmt.Sprintf("argocd/%s@%s", o.app.object.Name, o.started.Format(time.RFC3339))
}

// about finds the operation and the Jobs of which an event speaks.
func (t *simTruth) about(a *events.Attempt) (*simOperation, []*simRun) {
	for _, r := range t.world.runs {
		if string(r.job.UID) == a.Run {
			return r.op, []*simRun{r}
		}
	}
	for _, app := range t.world.apps {
		for _, o := range app.ops {
			if o.name() == a.Run {
				var runs []*simRun
				for _, r := range t.world.runs {
					if r.op == o && sameDigest(r.set.digest, a.Digest) {
						runs = append(runs, r)
					}
				}
				return o, runs
			}
		}
	}
	return nil, nil
}

// claims say for each kind of event when it is true. They return what is wrong with it, or nothing.
var claims = map[events.Predicate]func(*simTruth, events.Event, *simOperation, []*simRun) string{
	events.Started: func(_ *simTruth, _ events.Event, _ *simOperation, runs []*simRun) string {
		return unless(len(runs) > 0, "no Job ran")
	},
	events.Succeeded: func(_ *simTruth, _ events.Event, _ *simOperation, runs []*simRun) string {
		return unless(slices.ContainsFunc(runs, func(r *simRun) bool { return r.outcome == events.OutcomeSucceeded }), "no Job succeeded")
	},
	events.Failed: func(_ *simTruth, _ events.Event, _ *simOperation, runs []*simRun) string {
		return unless(slices.ContainsFunc(runs, func(r *simRun) bool { return r.outcome == events.OutcomeFailed }), "no Job failed")
	},
	events.Skipped: func(t *simTruth, e events.Event, o *simOperation, _ []*simRun) string {
		return unless(o != nil && o.skips() && !o.ended.IsZero() && !t.wasReady(e), "nothing was skipped")
	},
	events.Terminated: func(_ *simTruth, _ events.Event, o *simOperation, runs []*simRun) string {
		return unless(o != nil && o.terminated && len(runs) > 0, "nothing was terminated")
	},
	events.Deleted: func(_ *simTruth, _ events.Event, _ *simOperation, runs []*simRun) string {
		return unless(slices.ContainsFunc(runs, func(r *simRun) bool { return r.byHand }), "nobody deleted a Job")
	},
	events.Unattempted: func(_ *simTruth, _ events.Event, o *simOperation, runs []*simRun) string {
		return unless(o != nil && o.failed && len(runs) == 0, "it was attempted")
	},
	events.Blocked: func(t *simTruth, e events.Event, o *simOperation, _ []*simRun) string {
		return unless(o != nil && o.held || t.waited(e, o) && t.world.wasShut(e), "no window held it up")
	},
	events.Stuck: func(t *simTruth, e events.Event, o *simOperation, _ []*simRun) string {
		return unless(o != nil && (slices.Contains(o.app.stuck, e.Attempt.Revision) || t.waited(e, o)), "it was not stuck")
	},
}

// waited reports whether Argo CD had the time to sync a revision after an operation, or before any, and has not.
func (t *simTruth) waited(e events.Event, o *simOperation) bool {
	for _, a := range t.world.apps {
		if a.object.Namespace+"/"+a.object.Name != e.Attempt.Application || a.object.Spec.SyncPolicy == nil {
			continue
		}
		return slices.ContainsFunc(a.looks, func(l simLook) bool {
			since := l.at
			if o != nil && o.ended.After(since) {
				since = o.ended
			}
			return l.revision == e.Attempt.Revision && (o == nil || !o.ended.IsZero()) && !t.world.clock.Before(since.Add(reaction))
		})
	}
	return false
}

// wasShut reports whether a sync window has been closed since an obstacle came to be.
func (w *simWorld) wasShut(e events.Event) bool {
	return w.windows != nil || slices.ContainsFunc(w.apps, func(a *simApp) bool { return a.opened.After(e.Time) })
}

// healed: a sync is asked for only of what nobody else looks after, once for each commit.
func (t *simTruth) healed(a *simApp, c change) error {
	t.heals++
	o, name := a.last(), a.object.Name
	i := slices.IndexFunc(a.git, func(g simCommit) bool {
		one, several := a.revisions(g)
		return one == c.Operation.Sync.Revision && slices.Equal(several, c.Operation.Sync.Revisions)
	})
	switch {
	case a.op != nil:
		t.fault("wrong: a sync of %s is asked for while one is in progress", name)
	case i < 0:
		t.fault("wrong: a sync of %s is asked for at %+v, which is no commit", name, c.Operation.Sync)
	case t.world.windows != nil:
		t.fault("wrong: a sync of %s is asked for while its sync window is closed", name)
	case a.suspended() || a.object.Spec.SyncPolicy == nil:
		t.fault("wrong: a sync of %s is asked for, which does not sync by itself", name)
	case o == nil || o.by.Username == "admin":
		t.fault("wrong: a sync of %s is asked for after a person's", name)
	case o.by.Username == initiator && o.commit.sha == a.git[i].sha:
		t.fault("wrong: a sync of %s is asked for twice at %s", name, o.commit.sha)
	default:
		a.begin(&simOperation{commit: a.git[i], by: c.Operation.InitiatedBy})
	}
	return nil
}

func unless(ok bool, text string) string {
	if ok {
		return ""
	}
	return text
}

// wasReady reports whether the schema of an event had been called ready before.
func (t *simTruth) wasReady(e events.Event) bool {
	r, ok := t.ready[e.Environment+"/"+e.Database]
	return ok && events.CompareVersions(r.Version, e.Attempt.Version) >= 0 && sameDigest(r.Digest, e.Attempt.Digest)
}

// stored looks at each message as it comes into its stream.
func (t *simTruth) stored(m simMessage) {
	if m.state != nil {
		t.replaced(m)
		return
	}
	e := m.event
	db := e.Environment + "/" + e.Database
	what := fmt.Sprintf("%s %s@%s run %s by %s", e.Predicate, db, e.Attempt.Version, e.Attempt.Run, e.Attempt.Evidence)
	o, runs := t.about(e.Attempt)
	if claim, ok := claims[e.Predicate]; !ok {
		t.fault("wrong: %s: nobody knows what that is", what)
	} else if why := claim(t, e, o, runs); why != "" {
		t.fault("wrong: %s: %s", what, why)
	}
	if o != nil && e.Attempt.DryRevision != "" && !slices.ContainsFunc(o.app.git, func(c simCommit) bool {
		return c.sha == e.Attempt.Revision && c.dry == e.Attempt.DryRevision
	}) {
		t.fault("wrong: %s: %s was not hydrated from %s", what, e.Attempt.Revision, e.Attempt.DryRevision)
	}
	if r := e.Attempt.Revision; o != nil && r != "" && !slices.ContainsFunc(o.app.git, func(c simCommit) bool { return o.app.revision(c) == r && c.holds(e.Attempt) }) {
		t.fault("wrong: %s: commit %s holds no such migration", what, r)
	}
	t.once(what, e, o, runs)
	t.inOrder(what, e, runs)
	t.checkReady(what, db, e)
}

// replaced: a state does not forget what the one before it held.
func (t *simTruth) replaced(m simMessage) {
	var s, old events.State
	for _, before := range t.broker.states.messages[:len(t.broker.states.messages)-1] {
		if before.subject == m.subject {
			old = events.State{}
			if err := json.Unmarshal(before.state, &old); err != nil {
				t.fault("wrong: %s: %v", m.subject, err)
			}
		}
	}
	if err := json.Unmarshal(m.state, &s); err != nil {
		t.fault("wrong: %s: %v", m.subject, err)
	}
	switch {
	case old.Ready != nil && (s.Ready == nil || events.CompareVersions(s.Ready.Version, old.Ready.Version) < 0):
		t.fault("wrong: %s forgets that %s is ready", m.subject, old.Ready.Version)
	case old.LastAttempt != nil && (s.LastAttempt == nil || attemptTime(*s.LastAttempt).Before(attemptTime(*old.LastAttempt))):
		t.fault("wrong: %s forgets the attempt of run %s", m.subject, old.LastAttempt.Run)
	}
	if a := s.LastAttempt; a != nil && (old.LastAttempt == nil || a.Run != old.LastAttempt.Run) && a.Evidence == events.EvidenceJob {
		t.reportAwaited(m, a)
	}
}

// reportAwaited: who has seen a Pod run waits for what it reports, unless it is gone, or a later result waits behind it.
func (t *simTruth) reportAwaited(m simMessage, a *events.Attempt) {
	knew := func(fact string) bool {
		pass, ok := m.by.knows[fact]
		return ok && pass <= m.pass
	}
	_, runs := t.about(a)
	for _, r := range runs {
		if r.pod == nil || !r.reported || !knew(string(r.pod.UID)+" runs") {
			continue
		}
		followed := slices.ContainsFunc(t.world.runs, func(other *simRun) bool {
			return other.target == r.target && other.ended.After(r.ended) && knew(string(other.job.UID))
		})
		if !followed && !knew(string(r.pod.UID)+" ended") && !knew(string(r.pod.UID)+" gone") && !knew(string(r.job.UID)+" gone") {
			t.fault("wrong: %s tells of run %s without the report of its Pod, which is on its way", m.subject, a.Run)
		}
	}
}

// once counts what was told of each Job, or of each sync where it has none.
func (t *simTruth) once(what string, e events.Event, o *simOperation, runs []*simRun) {
	if n := slices.IndexFunc(t.broker.events.messages[:len(t.broker.events.messages)-1], func(m simMessage) bool { return m.id == e.ID }); n >= 0 {
		t.fault("duplicate: %s: message %d has its id", what, n)
		return
	}
	if o == nil {
		return
	}
	fact, most := fmt.Sprint(e.Predicate, o.name(), e.Database, short(e.Attempt.Digest)), 0
	for _, r := range t.world.runs {
		if r.op == o && sameDigest(r.set.digest, e.Attempt.Digest) && (e.Predicate == events.Started || string(r.outcome) == string(e.Predicate)) {
			most++
		}
	}
	if t.told[fact]++; t.told[fact] > max(most, 1) {
		t.fault("duplicate: %s: told %d times, happened %d times", what, t.told[fact], most)
	}
}

// inOrder: results are told in the order of their ends, but for a success that was found out late, and a begin before its result.
func (t *simTruth) inOrder(what string, e events.Event, runs []*simRun) {
	if e.Predicate == events.Started && slices.ContainsFunc(t.broker.events.messages, func(m simMessage) bool {
		return m.event.Attempt.Run == e.Attempt.Run && m.event.Attempt.Digest == e.Attempt.Digest && m.event.Environment == e.Environment &&
			m.event.Database == e.Database && (m.event.Predicate == events.Succeeded || m.event.Predicate == events.Failed)
	}) {
		t.fault("out of order: %s: its result was told", what)
	}
	if e.Predicate != events.Succeeded && e.Predicate != events.Failed || e.Attempt.Evidence == events.EvidenceApplication || len(runs) != 1 {
		return
	}
	db := e.Environment + "/" + e.Database
	end := runs[0].ended
	if end.Before(t.last[db]) {
		if e.Predicate == events.Failed {
			t.fault("out of order: %s ended at %s, but an attempt that ended at %s was told", what, end.Format(time.TimeOnly), t.last[db].Format(time.TimeOnly))
		}
		return
	}
	t.last[db] = end
}

func (t *simTruth) checkReady(what, db string, e events.Event) {
	old, was := t.ready[db]
	if e.Ready == nil {
		if was {
			t.fault("wrong: %s forgets that %s is ready", what, old.Version)
		}
		return
	}
	if was && events.CompareVersions(e.Ready.Version, old.Version) < 0 {
		t.fault("wrong: %s goes from %s down to %s", what, old.Version, e.Ready.Version)
	}
	t.ready[db] = *e.Ready
	t.holds(what, db, *e.Ready)
}

// holds: a schema that is called ready is in the database, and a Job of its digest has succeeded.
func (t *simTruth) holds(what, db string, r events.Ready) {
	proven := false
	for _, run := range t.world.runs {
		proven = proven || run.target.String() == db && sameDigest(run.set.digest, r.Digest) && run.outcome == events.OutcomeSucceeded
		if run.target.String() == db && t.world.ledger[run.target].Compare(migrations.Version(r.Version)) < 0 {
			t.fault("wrong: %s: %s is called ready, the database holds %s", what, r.Version, t.world.ledger[run.target])
			return
		}
	}
	if !proven {
		t.fault("wrong: %s: %s is called ready, no Job of digest %s has succeeded", what, r.Version, short(r.Digest))
	}
}

// complete: what was shown to those that still lead, or is still there, has been told.
func (t *simTruth) complete(leader *simTerm) {
	for _, r := range t.world.runs {
		if r.outcome == "" {
			continue
		}
		if _, known := leader.knows[string(r.job.UID)]; !known || t.only {
			continue
		}
		what := fmt.Sprintf("%s %s@%s run %s", r.outcome, r.target, r.set.version, r.job.UID)
		ready, ok := t.ready[r.target.String()]
		if r.outcome == events.OutcomeSucceeded && (!ok || events.CompareVersions(ready.Version, r.set.version) < 0) {
			t.fault("lost: %s: %q is called ready", what, ready.Version)
		}
		if r.outcome == events.OutcomeSucceeded && !r.advanced && !t.begun(r) {
			continue // nothing changed by it, and nobody waits for its end
		}
		if !t.toldOf(r) && !t.overtaken(r, leader) && !t.hidden(r) {
			t.fault("lost: %s is not told", what)
		}
	}
	for _, a := range t.world.apps {
		t.completeOf(a)
		for _, o := range a.ops {
			t.heard(o, leader)
		}
	}
	t.consistent(leader)
}

// heard: a success of which Argo CD has told the leader, perhaps long ago, makes its schema ready.
func (t *simTruth) heard(o *simOperation, leader *simTerm) {
	for _, s := range o.commit.sets {
		_, known := leader.knows[fmt.Sprintf("%s %s %s", o.name(), s.jobName(), reached)]
		if ready := t.ready[o.app.target(s).String()]; known && events.CompareVersions(ready.Version, s.version) < 0 {
			t.fault("lost: %s has said that %s succeeded, %q is called ready", o.name(), s.jobName(), ready.Version)
		}
	}
}

// collected: the controller deletes a Job after its result is told, if it has one, and that of a later success in whose favour it goes.
func (t *simTruth) collected(r *simRun) {
	told := func(r *simRun) bool { return t.toldOf(r) || r.outcome == events.OutcomeSucceeded && !r.advanced }
	heir := slices.ContainsFunc(t.world.runs, func(h *simRun) bool {
		return h.target == r.target && h.set.digest != r.set.digest && h.outcome == events.OutcomeSucceeded && h.ended.After(r.ended) && told(h)
	})
	switch {
	case r.outcome == "":
		t.fault("wrong: the Job of run %s is deleted while it runs", r.job.UID)
	case !heir:
		t.fault("wrong: the Job of run %s is deleted before one that takes its place is told", r.job.UID)
	case !told(r) && !t.overtaken(r, nil):
		t.fault("wrong: the Job of run %s is deleted before its result is told", r.job.UID)
	}
}

// completeOf: what an Application says in the end has been told, to a controller that sees nothing else.
func (t *simTruth) completeOf(a *simApp) {
	o := a.last()
	if !t.only || o == nil || a.object.Status.OperationState == nil || a.object.Status.OperationState.SyncResult == nil {
		return
	}
	for _, r := range a.object.Status.OperationState.SyncResult.Resources {
		for _, s := range o.commit.sets {
			ready := t.ready[a.target(s).String()]
			if r.Name == s.jobName() && r.Message == reached && events.CompareVersions(ready.Version, s.version) < 0 {
				t.fault("lost: %s says that %s succeeded, %q is called ready", o.name(), r.Name, ready.Version)
			}
		}
	}
}

func (t *simTruth) toldOf(r *simRun) bool {
	return slices.ContainsFunc(t.broker.events.messages, func(m simMessage) bool {
		a := m.event.Attempt
		return string(m.event.Predicate) == string(r.outcome) && (a.Run == string(r.job.UID) || a.Run == r.op.name() && sameDigest(a.Digest, r.set.digest))
	})
}

// hidden reports whether a Job that is gone failed in a sync of which Argo CD has said, without an end, that the migration succeeded: which
// of the two came first nobody can tell.
func (t *simTruth) hidden(r *simRun) bool {
	return r.gone && r.outcome == events.OutcomeFailed && slices.ContainsFunc(t.broker.events.messages, func(m simMessage) bool {
		a := m.event.Attempt
		return m.event.Predicate == events.Succeeded && a.Run == r.op.name() && sameDigest(a.Digest, r.set.digest) && a.Finished.IsZero()
	})
}

// begun reports whether a Job was told to have begun, and what it was to reach has not been called ready since: an earlier success may
// have been found out only then.
func (t *simTruth) begun(r *simRun) bool {
	begun := false
	for _, m := range t.broker.events.messages {
		e := m.event
		switch {
		case e.Environment != r.target.Environment || e.Database != r.target.Database:
		case e.Predicate == events.Started && e.Attempt.Run == string(r.job.UID):
			begun = true
		case e.Predicate == events.Succeeded && events.CompareVersions(e.Ready.Version, r.set.version) >= 0:
			begun = false
		}
	}
	return begun
}

// overtaken reports whether a newer attempt was told by somebody who did not know of this one: then it comes too late.
func (t *simTruth) overtaken(r *simRun, leader *simTerm) bool {
	return slices.ContainsFunc(t.broker.states.messages, func(m simMessage) bool {
		var s events.State
		if err := json.Unmarshal(m.state, &s); err != nil || s.LastAttempt == nil {
			return false
		}
		_, runs := t.about(s.LastAttempt)
		knew, knows := m.by.knows[string(r.job.UID)]
		return (!knows || m.pass < knew || m.by != leader) && slices.ContainsFunc(runs, func(other *simRun) bool {
			return other != r && other.target == r.target && !other.ended.Before(r.ended)
		})
	})
}

// consistent: no state came without its event. One of a database that nothing in the cluster names any more wakes nobody.
func (t *simTruth) consistent(leader *simTerm) {
	for _, m := range t.broker.states.messages {
		var s events.State
		if err := json.Unmarshal(m.state, &s); err != nil {
			t.fault("wrong: %s: %v", m.subject, err)
		}
		if last, _ := t.broker.states.last(m.subject); last.id == m.id && !leader.looked[target{s.Environment, s.Database}] {
			continue
		}
		fact, _, _ := strings.Cut(m.id, "@")
		if !slices.ContainsFunc(t.broker.events.messages, func(e simMessage) bool { return e.id == fact || t.otherwise(e.event, fact) }) {
			t.fault("lost: the event of state %s %s", m.subject, m.state)
		}
	}
}

// otherwise reports whether an event tells, by other evidence, of the beginning that an id stands for.
func (t *simTruth) otherwise(e events.Event, id string) bool {
	o, runs := t.about(e.Attempt)
	if e.Predicate != events.Started || o == nil {
		return false
	}
	is := func(run, digest string) bool {
		a := *e.Attempt
		a.Run, a.Digest = run, digest
		e := e
		e.Attempt = &a
		return events.EventID(e) == id
	}
	return is(o.name(), "sha256:"+short(e.Attempt.Digest)) ||
		slices.ContainsFunc(runs, func(r *simRun) bool { return is(string(r.job.UID), r.set.digest) })
}
