package story

import (
	"context"
	"sync"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/manifests"
)

// observation collects when the steps of a sync were first seen. The times are for people: a release is judged by its
// event, so a watch that breaks costs a line of the story and nothing else.
type observation struct {
	mu       sync.Mutex
	revision string
	syncing  time.Time
	jobs     map[types.UID]*job
}

// job is what was seen of one migration Job.
type job struct {
	name, digest               string
	created, running, finished time.Time
}

// observe watches the Application, the Jobs and the Pods of staging until ctx ends.
func (s *Story) observe(ctx context.Context, revision string) *observation {
	o := &observation{revision: revision, jobs: map[types.UID]*job{}}
	for _, w := range []struct {
		list      client.ObjectList
		namespace string
	}{{&argo.ApplicationList{}, "argocd"}, {&batchv1.JobList{}, Staging}, {&corev1.PodList{}, Staging}} {
		watcher, err := s.Cluster.Watch(ctx, w.list, client.InNamespace(w.namespace))
		if err != nil {
			continue
		}
		go func() {
			defer watcher.Stop()
			for e := range watcher.ResultChan() { // closed when ctx ends
				o.see(e.Object)
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
		if x.Name == Database+"-"+Staging && op != nil && op.Operation.Sync != nil && op.Operation.Sync.Revision == o.revision {
			first(&o.syncing)
		}
	case *batchv1.Job:
		if x.Labels[manifests.LabelComponent] != string(manifests.ComponentMigration) {
			return
		}
		j := o.job(x.UID)
		j.name, j.digest = x.Name, x.Annotations[manifests.AnnotationDigest]
		first(&j.created)
		for _, c := range x.Status.Conditions {
			if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
				first(&j.finished)
			}
		}
	case *corev1.Pod:
		uid := types.UID(x.Labels[batchv1.ControllerUidLabel])
		for _, c := range x.Status.ContainerStatuses {
			if uid != "" && (c.State.Running != nil || c.State.Terminated != nil) {
				first(&o.job(uid).running)
			}
		}
	}
}

func (o *observation) job(uid types.UID) *job {
	if o.jobs[uid] == nil {
		o.jobs[uid] = new(job)
	}
	return o.jobs[uid]
}

func first(t *time.Time) {
	if t.IsZero() {
		*t = time.Now()
	}
}

// fill copies into r what was seen of its sync: the newest Job that carries the digest of its event.
func (o *observation) fill(r *Release) {
	o.mu.Lock()
	defer o.mu.Unlock()
	newest := new(job)
	for _, j := range o.jobs {
		if j.digest == r.Event.Attempt.Digest && j.created.After(newest.created) {
			newest = j
		}
	}
	r.Syncing, r.Job, r.Created, r.Running, r.Finished = o.syncing, newest.name, newest.created, newest.running, newest.finished
}
