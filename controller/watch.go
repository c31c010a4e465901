package controller

import (
	"context"
	"fmt"
	"slices"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
)

type queue = workqueue.TypedRateLimitingInterface[target]

// watcher turns what happens in the cluster into databases to look at, and captures what will not be there to be looked at.
type watcher struct {
	Options
	places     *places
	stalls     *stalls
	hydrations *hydrations
	*captures
}

// onApplication wakes every database whose Jobs an Application shows.
func (w *watcher) onApplication() handler.TypedEventHandler[*argo.Application, target] {
	see := func(ctx context.Context, a *argo.Application, q queue) {
		w.captureResults(a)
		for _, t := range w.targets(ctx, a) {
			q.Add(t)
		}
	}
	return handler.TypedFuncs[*argo.Application, target]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[*argo.Application], q queue) { see(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[*argo.Application], q queue) {
			see(ctx, e.ObjectNew, q)
			for _, t := range w.targets(ctx, e.ObjectOld) { // those whose results were just overwritten
				q.Add(t)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[*argo.Application], q queue) {
			w.stalls.forget(client.ObjectKeyFromObject(e.Object))
			w.hydrations.forget(client.ObjectKeyFromObject(e.Object))
			for _, t := range w.targets(ctx, e.Object) { // another Application may have taken them over
				q.Add(t)
			}
		},
	}
}

// targets lists the databases that an Application's Jobs migrate: by the Jobs' labels where they can be read, and by their
// names.
func (w *watcher) targets(ctx context.Context, a *argo.Application) []target {
	to := w.places.of(a.Spec.Destination)
	out := namedTargets(a, to)
	if to.place == nil {
		return out
	}
	for _, key := range jobKeys(a) {
		var j batchv1.Job
		if err := to.place.cache.Get(ctx, key, &j); err != nil {
			continue
		}
		if t, ok := jobTarget(&j); ok {
			out = append(out, t)
		}
	}
	return out
}

// captureResults keeps each result that an operation has for now, and each marker that it has applied without hooks.
func (w *watcher) captureResults(a *argo.Application) {
	view := newApplication(a, w.places.of(a.Spec.Destination))
	view.Hydrations = w.hydrations.see(view.Key, view.Hydrated)
	for _, op := range view.Operations {
		for _, r := range op.Results {
			if t, ok := view.targetOf(r.Key, r.Name); ok && r.Phase != "Running" && !op.stale(r) {
				past := op
				past.Results, past.Markers = []result{r}, nil
				w.captureOperation(t, view, past, fmt.Sprint(r.Key, " ", r.Phase, " ", r.Message == reached))
			}
		}
		for _, m := range op.Markers {
			if t, ok := view.targetOf(m.Key, m.Name); ok && op.skipsHooks() && !op.running() {
				past := op
				past.Markers = []marker{m}
				w.captureOperation(t, view, past, m.Key.String())
			}
		}
	}
}

// captureOperation keeps an operation for what it says of one database. A pass marks the results, and those of other databases may
// be looked at meanwhile: each has its own.
func (w *watcher) captureOperation(t target, a application, o operation, what string) {
	o.Past, o.Results = true, slices.Clone(o.Results)
	a.Operations, a.Wanted = []operation{o}, nil
	w.put(t, capture{key: fmt.Sprintf("%s@%s %s", a.Key, o.Started, what), application: &a})
}

// onJob wakes the database that a Job of a cluster migrates.
func (w *watcher) onJob(cluster string) handler.TypedEventHandler[*batchv1.Job, target] {
	return handler.TypedFuncs[*batchv1.Job, target]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*batchv1.Job], q queue) {
			w.places.learn(cluster, e.Object)
			wake(e.Object, q)
		},
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[*batchv1.Job], q queue) {
			w.places.learn(cluster, e.ObjectNew)
			if e.ObjectOld.UID != e.ObjectNew.UID {
				w.captureJob(ctx, cluster, e.ObjectOld)
				wake(e.ObjectOld, q)
			}
			wake(e.ObjectNew, q)
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[*batchv1.Job], q queue) {
			w.captureJob(ctx, cluster, e.Object)
			wake(e.Object, q)
		},
	}
}

// captureJob keeps a finished Job that is gone, or will be seen no more, with its Pods as far as they are still known.
func (w *watcher) captureJob(ctx context.Context, cluster string, j *batchv1.Job) {
	t, ok := jobTarget(j)
	view := newJob(cluster, j)
	if !ok || !view.finished() {
		return
	}
	view.Gone = true
	if p := w.places.at(cluster); p != nil {
		var pods corev1.PodList
		if err := p.cache.List(ctx, &pods, client.MatchingFields{indexOwner: string(j.UID)}); err == nil {
			for i := range pods.Items {
				view.Pods = append(view.Pods, newPod(&pods.Items[i]))
			}
		}
	}
	w.put(t, capture{key: "job " + cluster + " " + string(j.UID), job: &view})
}

// onPod wakes the database that a Pod's Job in a cluster migrates. Pods bear the labels of their Job.
func (w *watcher) onPod(cluster string) handler.TypedEventHandler[*corev1.Pod, target] {
	return handler.TypedFuncs[*corev1.Pod, target]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.Pod], q queue) { wakePod(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.Pod], q queue) { wakePod(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*corev1.Pod], q queue) {
			view, t := newPod(e.Object), podTarget(e.Object)
			if t != (target{}) && view.Report != nil {
				w.put(t, capture{key: "pod " + cluster + " " + string(view.UID), pod: &view, owner: owner(e.Object), cluster: cluster})
			}
			wakePod(e.Object, q)
		},
	}
}

// onAgain wakes every database that is to be seen.
func (w *watcher) onAgain(applications client.Reader) handler.TypedEventHandler[struct{}, target] {
	return handler.TypedFuncs[struct{}, target]{GenericFunc: func(ctx context.Context, _ event.TypedGenericEvent[struct{}], q queue) {
		var all argo.ApplicationList
		if err := applications.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
			return // it is shutting down
		}
		for i := range all.Items {
			for _, t := range w.targets(ctx, &all.Items[i]) {
				q.Add(t)
			}
		}
		for _, p := range w.places.read() {
			var jobs batchv1.JobList
			if err := p.cache.List(ctx, &jobs, client.UnsafeDisableDeepCopy); err != nil {
				continue // that cluster is read no more
			}
			for i := range jobs.Items {
				wake(&jobs.Items[i], q)
			}
		}
	}}
}

func wake(o metav1.Object, q queue) {
	if t, ok := jobTarget(o); ok {
		q.Add(t)
	}
}

func wakePod(p *corev1.Pod, q queue) {
	if t := podTarget(p); t != (target{}) {
		q.Add(t)
	}
}
