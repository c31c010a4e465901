package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// world reads what there is to know of a database: from the cache, and from what was captured. What the cache lists is the cache's own, and is
// never written to.
type world struct {
	Options
	cluster client.Reader // the cache that holds the Applications
	live    client.Reader // their API server itself
	places  *places       // where their Jobs are
	stalls  *stalls

	hydrations *hydrations
}

// observe gathers everything but the published state.
func (w world) observe(ctx context.Context, t target, captured []capture) (observation, error) {
	o := observation{Target: t}
	if err := w.jobs(ctx, &o, captured); err != nil {
		return o, fmt.Errorf("observe %s: %w", t, err)
	}
	if err := w.applications(ctx, &o, captured); err != nil {
		return o, fmt.Errorf("observe %s: %w", t, err)
	}
	return o, nil
}

// jobs adds the Jobs that are there and those that were captured when they went, each with its Pods.
func (w world) jobs(ctx context.Context, o *observation, captured []capture) error {
	if w.ApplicationsOnly {
		return nil
	}
	type id struct {
		cluster string
		uid     types.UID
	}
	seen := map[id]bool{}
	read := w.places.read()
	for _, cluster := range slices.Sorted(maps.Keys(read)) {
		var list batchv1.JobList
		if err := read[cluster].cache.List(ctx, &list, client.MatchingFields{indexTarget: o.Target.String()}, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("list jobs: %w", err)
		}
		for i := range list.Items {
			j := newJob(cluster, &list.Items[i])
			seen[id{cluster, j.UID}] = true
			o.Jobs = append(o.Jobs, j)
		}
	}
	for _, c := range captured {
		if c.job != nil && !seen[id{c.job.Cluster, c.job.UID}] {
			o.Jobs = append(o.Jobs, *c.job)
		}
	}
	for i, j := range o.Jobs {
		if err := w.pods(ctx, read[j.Cluster], &o.Jobs[i], captured); err != nil {
			return err
		}
	}
	return nil
}

// pods adds those that a place, which may be nil, holds of a Job, and those that were captured when they went.
func (w world) pods(ctx context.Context, at *place, j *job, captured []capture) error {
	var list corev1.PodList
	if at != nil {
		if err := at.cache.List(ctx, &list, client.MatchingFields{indexOwner: string(j.UID)}, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("list pods of job %s: %w", j.Key, err)
		}
	}
	seen := map[types.UID]bool{}
	for _, p := range j.Pods {
		seen[p.UID] = true
	}
	add := func(p pod) {
		if !seen[p.UID] {
			seen[p.UID] = true
			j.Pods = append(j.Pods, p)
		}
	}
	for i := range list.Items {
		add(newPod(&list.Items[i]))
	}
	for _, c := range captured {
		if c.pod != nil && c.of(*j) {
			add(*c.pod)
		}
	}
	return nil
}

// applications adds the Applications that carry the Jobs, those whose results speak of the database by name, and the
// operations of either that are over.
func (w world) applications(ctx context.Context, o *observation, captured []capture) error {
	found := map[types.NamespacedName]int{}
	anywhere := func(application) bool { return true }
	find := func(carries func(application) bool, index, value string, within ...client.ListOption) error {
		var list argo.ApplicationList
		if err := w.cluster.List(ctx, &list, append(within, client.MatchingFields{index: value}, client.UnsafeDisableDeepCopy)...); err != nil {
			return fmt.Errorf("list applications: %w", err)
		}
		for i := range list.Items {
			a := newApplication(&list.Items[i], w.places.of(list.Items[i].Spec.Destination))
			if _, ok := found[a.Key]; !ok && carries(a) {
				a.Hydrations = w.hydrations.see(a.Key, a.Hydrated)
				again, err := w.stalled(ctx, &list.Items[i], &a)
				if err != nil {
					return err
				}
				if again > 0 && (o.Again == 0 || again < o.Again) {
					o.Again = again
				}
				found[a.Key] = len(o.Applications)
				o.Applications = append(o.Applications, a)
			}
		}
		return nil
	}
	if err := find(anywhere, indexTarget, o.Target.String()); err != nil {
		return err
	}
	for _, j := range o.Jobs {
		there := func(a application) bool { return a.Cluster == j.Cluster }
		if err := find(there, indexJob, j.Key.String()); err != nil {
			return err
		}
		if j.Instance == "" {
			continue
		}
		namespace, name, ok := strings.Cut(j.Instance, "_")
		if !ok {
			namespace, name = "", j.Instance
		}
		if err := find(there, indexInstance, name, client.InNamespace(namespace)); err != nil {
			return err
		}
	}
	for _, c := range captured {
		if c.application == nil {
			continue
		}
		c.application.locate(w.places.of(c.application.To))
		if i, ok := found[c.application.Key]; ok {
			o.Applications[i].Operations = append(o.Applications[i].Operations, c.application.Operations...)
			continue
		}
		found[c.application.Key] = len(o.Applications)
		o.Applications = append(o.Applications, *c.application)
	}
	return w.markJobs(ctx, o)
}

// markJobs marks the results whose Job speaks for itself, whatever database that Job turns out to be of. One that was captured does so
// although its cluster cannot be read any more.
func (w world) markJobs(ctx context.Context, o *observation) error {
	order(o.Applications)
	for i, a := range o.Applications {
		for k, op := range a.Operations {
			for n, r := range op.Results {
				if !r.Readable {
					o.Applications[i].Operations[k].Results[n].HasJob = slices.ContainsFunc(o.Jobs, func(j job) bool { return j.Cluster == a.Cluster && j.Key == r.Key && op.saw(j, r) })
					continue
				}
				has, ending, err := w.speaks(ctx, o.Jobs, a.Cluster, op, r)
				if err != nil {
					return err
				}
				lost := false
				if (!has || ending) && op.awaits(r) {
					if lost, err = w.lost(ctx, a, op, r.Key); err != nil {
						return err
					}
				}
				if at := slices.IndexFunc(o.Jobs, func(j job) bool { return j.Cluster == a.Cluster && j.Key == r.Key && !j.Gone && r.outlived(j) }); at >= 0 {
					o.Applications[i].Operations[k].Results[n].Other = o.Jobs[at].UID
				}
				o.Applications[i].Operations[k].Results[n].HasJob, o.Applications[i].Operations[k].Results[n].Lost = has && !lost, lost
			}
		}
	}
	return nil
}

// order tells each operation when the next one began.
func order(all []application) {
	for _, a := range all {
		for i := range a.Operations {
			o := &a.Operations[i]
			for _, later := range a.Operations {
				if later.Started.After(o.Started) && (o.Next.IsZero() || later.Started.Before(o.Next)) {
					o.Next = later.Started
				}
			}
		}
	}
}

// speaks reports whether the Job of a result speaks for itself, and whether it is about to be deleted before it has ended.
func (w world) speaks(ctx context.Context, jobs []job, cluster string, o operation, r result) (speaks, ending bool, err error) {
	for _, j := range jobs {
		if j.Cluster == cluster && j.Key == r.Key && o.saw(j, r) {
			return true, j.Deleting && !j.finished(), nil
		}
	}
	at := w.places.at(cluster)
	if at == nil {
		return false, false, nil
	}
	var j batchv1.Job // of another database, perhaps
	if err := at.cache.Get(ctx, r.Key, &j); err != nil {
		return false, false, wrap("read job "+r.Key.String(), client.IgnoreNotFound(err))
	}
	return !madeSince(&j, o.Next) && !r.outlived(newJob(cluster, &j)), false, nil
}

// outlived reports whether a success is that of an earlier Job than this one of its name, which has failed: that of another try.
func (r result) outlived(j job) bool { return r.Message == reached && j.Phase == jobFailed }

// saw reports whether a result may be about a Job. Others of its name come and go, perhaps unseen, with other operations and with each
// try of one.
func (o operation) saw(j job, r result) bool {
	if !o.Next.IsZero() && !j.Created.Before(o.Next) {
		return false
	}
	if !j.Gone {
		return !r.outlived(j)
	}
	during := !j.Ended.Before(o.Started) && (o.Finished.IsZero() || !j.Ended.After(o.Finished))
	return during && (j.Phase == jobComplete || r.Message != reached)
}

// madeSince reports whether a Job was made when the next operation had begun, if there was one.
func madeSince(j metav1.Object, next time.Time) bool {
	return !next.IsZero() && !j.GetCreationTimestamp().Time.Before(next)
}

// awaits reports whether an operation has made a Job and waits for its end.
func (o operation) awaits(r result) bool {
	return (r.Hook || madeAnew(r.Message)) && r.Phase == string(common.OperationRunning) && o.running() && !o.Ending
}

// hookFinalizer is what Argo CD 3 holds a hook with until it has seen its result (gitops-engine, pkg/sync/hook).
const hookFinalizer = "argocd.argoproj.io/hook-finalizer"

// lost asks the API server whether a Job will have no result that an operation still waits for: it is gone, or only held. Kubernetes
// ends a Job that is being deleted, but never finishes it. Argo CD says that it terminates an operation before it deletes the
// hooks, so the Application is asked last.
func (w world) lost(ctx context.Context, of application, o operation, hook types.NamespacedName) (bool, error) {
	at := w.places.at(of.Cluster)
	if at == nil {
		return false, nil
	}
	var j metav1.PartialObjectMetadata
	j.SetGroupVersionKind(batchv1.SchemeGroupVersion.WithKind("Job"))
	err := at.live.Get(ctx, hook, &j)
	held := err == nil && j.DeletionTimestamp != nil && slices.Contains(j.Finalizers, hookFinalizer)
	if !held && !apierrors.IsNotFound(err) {
		return false, wrap("look for job "+hook.String(), err)
	}
	var a argo.Application
	if err := w.live.Get(ctx, of.Key, &a); err != nil {
		return false, wrap("look for application "+of.Key.String(), client.IgnoreNotFound(err))
	}
	now, ok := newOperation(a.Status.OperationState)
	return ok && now.Started.Equal(o.Started) && slices.ContainsFunc(now.Results, func(r result) bool { return r.Key == hook && now.awaits(r) }), nil
}

// wrap says what failed, if anything did.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
