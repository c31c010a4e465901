package story

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/nats-io/nats.go"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
)

// Release is one push and what came of it in staging.
type Release struct {
	Source   string // the developer's commit
	Rendered string // the controller's commit on top of it
	Job      string
	Event    events.Event
	Message  *nats.Msg // the event as it came over the wire

	Pushed    time.Time // the push had returned
	Committed time.Time // the rendered commit was there
	Syncing   time.Time // Argo CD had begun to sync it
	Created   time.Time // the migration Job was there
	Running   time.Time // its container ran
	Finished  time.Time // the Job was complete or had failed
	Published time.Time // the event arrived
	Started   time.Time // the storefront's container ran; zero if it did not wait for this release
}

// Push writes files, pushes them as one commit, and follows it until NATS says how it ended in staging.
func (s *Story) Push(ctx context.Context, message string, files map[string]string) (Release, error) {
	for path, content := range files {
		if err := s.Repo.Write(path, content); err != nil {
			return Release{}, err
		}
	}
	return s.release(ctx, message, func() error { return nil })
}

// release pushes the working tree, does what is due once the rendered commit is there, and follows the sync of staging.
func (s *Story) release(ctx context.Context, message string, rendered func() error) (Release, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	news := make(chan *nats.Msg, 16)
	subject := events.EventSubject(Staging, Database, "", "*")
	sub, err := s.nc.ChanSubscribe(subject, news)
	if err != nil {
		return Release{}, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	defer sub.Unsubscribe()

	var r Release
	if r.Source, err = s.Repo.Push(ctx, message); err != nil {
		return r, err
	}
	r.Pushed = time.Now()
	s.tell.TellAt(r.Pushed, "git push: %.8s %q", r.Source, message)
	if r.Rendered, err = s.Repo.Rendered(ctx, r.Source); err != nil {
		return r, err
	}
	r.Committed = time.Now()
	s.tell.TellAt(r.Committed, "the controller has pushed %.8s, the rendered migration", r.Rendered)
	if err := rendered(); err != nil {
		return r, err
	}
	watch := s.observe(ctx, r.Rendered)
	if r.Message, r.Event, err = result(ctx, news, r.Rendered); err != nil {
		return r, fmt.Errorf("no result of %.8s: %w", r.Rendered, err)
	}
	r.Published = time.Now()
	watch.fill(ctx, &r)
	for _, m := range []struct {
		t    time.Time
		text string
	}{
		{r.Syncing, "Argo CD syncs it"}, {r.Created, "PreSync: Job " + r.Job}, {r.Running, "its Pod runs"},
		{r.Finished, "the Job has ended"}, {r.Published, "NATS: " + r.Message.Subject},
	} {
		if !m.t.IsZero() {
			s.tell.TellAt(m.t, "%s", m.text)
		}
	}
	return r, nil
}

// result waits for the event that ends the attempt at a revision.
func result(ctx context.Context, news <-chan *nats.Msg, revision string) (*nats.Msg, events.Event, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, events.Event{}, ctx.Err()
		case msg := <-news:
			var e events.Event
			if err := json.Unmarshal(msg.Data, &e); err != nil {
				return nil, e, fmt.Errorf("%s: %w", msg.Subject, err)
			}
			if e.Attempt != nil && e.Attempt.Outcome != "" && e.Attempt.Revision == revision {
				return msg, e, nil
			}
		}
	}
}

// observation collects when things were first seen.
type observation struct {
	mu       sync.Mutex
	revision string
	release  Release
	settled  chan struct{} // closed when the Job has ended
}

// observe watches the Application, the Jobs and the Pods of staging until ctx ends.
func (s *Story) observe(ctx context.Context, revision string) *observation {
	o := &observation{revision: revision, settled: make(chan struct{})}
	for _, w := range []struct {
		list      client.ObjectList
		namespace string
	}{{&argo.ApplicationList{}, "argocd"}, {&batchv1.JobList{}, Staging}, {&corev1.PodList{}, Staging}} {
		watcher, err := s.Cluster.Watch(ctx, w.list, client.InNamespace(w.namespace))
		if err != nil {
			continue // the times are decoration: a release is judged by its event
		}
		go func() {
			defer watcher.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case e, ok := <-watcher.ResultChan():
					if !ok {
						return
					}
					o.see(e.Object)
				}
			}
		}()
	}
	return o
}

func (o *observation) see(object any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch x := object.(type) {
	case *argo.Application:
		op := x.Status.OperationState
		if x.Name == Database+"-"+Staging && op != nil && op.SyncResult != nil && op.SyncResult.Revision == o.revision && op.Phase != common.OperationPhase("") {
			first(&o.release.Syncing)
		}
	case *batchv1.Job:
		if x.Labels[manifests.LabelDatabase] != Database || x.CreationTimestamp.Time.Before(time.Now().Add(-time.Minute)) {
			return
		}
		o.job(x)
	case *corev1.Pod:
		if x.Labels["batch.kubernetes.io/job-name"] != o.release.Job || o.release.Job == "" {
			return
		}
		for _, c := range x.Status.ContainerStatuses {
			if c.State.Running != nil || c.State.Terminated != nil {
				first(&o.release.Running)
			}
		}
	}
}

// job notes the newest migration Job: an older one of the same name is about to be replaced.
func (o *observation) job(j *batchv1.Job) {
	if o.release.Finished.IsZero() {
		o.release.Job = j.Name
		first(&o.release.Created)
	}
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue && o.release.Finished.IsZero() {
			first(&o.release.Finished)
			close(o.settled)
		}
	}
}

func first(t *time.Time) {
	if t.IsZero() {
		*t = time.Now()
	}
}

// fill copies what was seen into r, giving the watches a moment to see the end of the Job.
func (o *observation) fill(ctx context.Context, r *Release) {
	wait, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	select {
	case <-o.settled:
	case <-wait.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	r.Job, r.Syncing, r.Created, r.Running, r.Finished = o.release.Job, o.release.Syncing, o.release.Created, o.release.Running, o.release.Finished
}
