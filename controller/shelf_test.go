package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// shelf is the cache without its watches: the store that informers fill, under the package's own indexes, filled by hand.
// The rest of the path, from the event handlers to the publisher, is the real one.
type shelf struct {
	client.Writer // only Delete is ever called
	stores        map[string]toolscache.Indexer
	indexers      map[string]toolscache.Indexers
	// ahead is what the API server knows and the shelf does not know yet, by kind and key; nil is what it no longer has.
	ahead   map[string]client.Object
	windows argo.SyncWindows // of every project
	secret  bool             // projects may not be read
	deleted []string         // Jobs, which stay on the shelf until the recording says that they are gone
}

func kind(obj any) string {
	switch obj := obj.(type) {
	case *argo.Application, *argo.ApplicationList:
		return "Application"
	case *batchv1.Job, *batchv1.JobList:
		return "Job"
	case *corev1.Pod, *corev1.PodList:
		return "Pod"
	case *metav1.PartialObjectMetadata:
		return obj.Kind
	}
	return fmt.Sprintf("%T", obj)
}

func newShelf(t *testing.T, o Options) *shelf {
	t.Helper()
	s := &shelf{stores: map[string]toolscache.Indexer{}, indexers: map[string]toolscache.Indexers{}, ahead: map[string]client.Object{}}
	if err := o.index(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"Application", "Job", "Pod"} {
		s.stores[k] = toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, s.indexers[k])
	}
	return s
}

// IndexField is what the manager's cache offers to Options.index.
func (s *shelf) IndexField(_ context.Context, obj client.Object, field string, values client.IndexerFunc) error {
	if s.indexers[kind(obj)] == nil {
		s.indexers[kind(obj)] = toolscache.Indexers{}
	}
	s.indexers[kind(obj)][field] = func(obj any) ([]string, error) { return values(obj.(client.Object)), nil }
	return nil
}

func (s *shelf) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	k := key.Name
	if key.Namespace != "" {
		k = key.Namespace + "/" + key.Name
	}
	found, ok, err := s.stores[kind(obj)].GetByKey(k)
	if err != nil || !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind(obj)}, k)
	}
	switch obj := obj.(type) {
	case *argo.Application:
		found.(*argo.Application).DeepCopyInto(obj)
	case *batchv1.Job:
		found.(*batchv1.Job).DeepCopyInto(obj)
	case *metav1.PartialObjectMetadata:
		found.(*batchv1.Job).ObjectMeta.DeepCopyInto(&obj.ObjectMeta)
	}
	return nil
}

func (s *shelf) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	found := s.stores[kind(list)].List()
	if o.FieldSelector != nil {
		var err error
		want := o.FieldSelector.Requirements()[0]
		if found, err = s.stores[kind(list)].ByIndex(want.Field, want.Value); err != nil {
			return err
		}
	}
	var items []runtime.Object
	for _, f := range found {
		if obj := f.(client.Object); o.Namespace == "" || o.Namespace == obj.GetNamespace() {
			items = append(items, obj)
		}
	}
	return meta.SetList(list, items)
}

// getUnstructured gets an Application or a project as it is sent.
func getUnstructured(ctx context.Context, from client.Reader, key client.ObjectKey, obj *unstructured.Unstructured) error {
	kind := obj.GroupVersionKind()
	var o client.Object = &argo.Application{}
	if kind == argo.AppProjectSchemaGroupVersionKind {
		o = &argo.AppProject{}
	}
	if err := from.Get(ctx, key, o); err != nil {
		return err
	}
	o.GetObjectKind().SetGroupVersionKind(kind)
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return obj.UnmarshalJSON(text)
}

// server is the API server behind the shelf.
type server struct{ *shelf }

// Get answers for what is ahead of the shelf, then from the shelf.
func (s server) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	switch obj := obj.(type) {
	case *argo.AppProject:
		if s.secret {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "appprojects"}, key.Name, nil)
		}
		obj.Spec.SyncWindows = s.windows
		return nil
	case *unstructured.Unstructured:
		return getUnstructured(ctx, s, key, obj)
	}
	found, ahead := s.ahead[kind(obj)+" "+key.String()]
	if !ahead {
		return s.shelf.Get(ctx, key, obj, opts...)
	}
	if found == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind(obj)}, key.String())
	}
	switch obj := obj.(type) {
	case *argo.Application:
		found.(*argo.Application).DeepCopyInto(obj)
	case *metav1.PartialObjectMetadata:
		found.(*batchv1.Job).ObjectMeta.DeepCopyInto(&obj.ObjectMeta)
	}
	return nil
}

// happen says that the API server has a delivery before the shelf gets it.
func (s *shelf) happen(d delivery) {
	key := kind(d.object) + " " + client.ObjectKeyFromObject(d.object).String()
	if s.ahead[key] = d.object; d.deleted {
		s.ahead[key] = nil
	}
}

// Delete notes the Job and checks that it is the one that was looked at.
func (s *shelf) Delete(_ context.Context, obj client.Object, opts ...client.DeleteOption) error {
	var o client.DeleteOptions
	o.ApplyOptions(opts)
	found, ok, err := s.stores[kind(obj)].Get(obj)
	if err != nil || !ok || o.Preconditions == nil || *o.Preconditions.UID != found.(*batchv1.Job).UID {
		return apierrors.NewConflict(schema.GroupResource{Resource: kind(obj)}, obj.GetName(), err)
	}
	if line := fmt.Sprintf("deleted %s/%s", obj.GetNamespace(), obj.GetName()); !slices.Contains(s.deleted, line) {
		s.deleted = append(s.deleted, line)
	}
	return nil
}

// replica is a controller without its manager.
type replica struct {
	t     *testing.T
	shelf *shelf
	watch *watcher
	queue queue
	rec   *reconciler
}

func newReplica(t *testing.T, s *shelf, o Options, p Publisher) *replica {
	t.Helper()
	o.Publisher, o.Log = p, slog.New(slog.NewTextHandler(io.Discard, nil))
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c := newCaptures(m.overflow)
	where, stalls, hydrations := o.places(place{cache: s, live: server{s}, jobs: s}), newStalls(), newHydrations()
	return &replica{
		t: t, shelf: s,
		watch: &watcher{Options: o, places: where, stalls: stalls, hydrations: hydrations, captures: c},
		queue: workqueue.NewTypedRateLimitingQueue(patience()),
		rec: &reconciler{
			Options: o, world: world{Options: o, cluster: s, live: server{s}, places: where, stalls: stalls, hydrations: hydrations},
			captures: c, metrics: m, memory: newMemory(),
			people: people{cluster: s, recorder: record.NewFakeRecorder(1000)},
		},
	}
}

// start delivers what is there, as an informer does to a new handler.
func (r *replica) start() {
	for _, k := range []string{"Application", "Job", "Pod"} {
		for _, obj := range r.shelf.stores[k].List() {
			r.handle("", nil, obj.(client.Object), false)
		}
	}
}

// deliver changes the cache and then calls the handlers, as informers do.
func (r *replica) deliver(d delivery) {
	store := r.shelf.stores[kind(d.object)]
	old, had, err := store.Get(d.object)
	if err == nil && d.deleted {
		err = store.Delete(d.object)
	} else if err == nil {
		err = store.Update(d.object)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if at := kind(d.object) + " " + client.ObjectKeyFromObject(d.object).String(); r.shelf.ahead[at] == d.object || d.deleted {
		delete(r.shelf.ahead, at)
	}
	if !had {
		old = nil
	}
	if d.deleted && !had {
		return
	}
	r.handle("", old, d.object, d.deleted)
}

// handle calls the handlers of what happens in a cluster.
func (r *replica) handle(cluster string, old any, obj client.Object, deleted bool) {
	ctx := context.Background()
	switch o := obj.(type) {
	case *argo.Application:
		h := r.watch.onApplication()
		switch {
		case deleted:
			h.Delete(ctx, event.TypedDeleteEvent[*argo.Application]{Object: o}, r.queue)
		case old == nil:
			h.Create(ctx, event.TypedCreateEvent[*argo.Application]{Object: o}, r.queue)
		default:
			h.Update(ctx, event.TypedUpdateEvent[*argo.Application]{ObjectOld: old.(*argo.Application), ObjectNew: o}, r.queue)
		}
	case *batchv1.Job:
		h := r.watch.onJob(cluster)
		switch {
		case deleted:
			h.Delete(ctx, event.TypedDeleteEvent[*batchv1.Job]{Object: o}, r.queue)
		case old == nil:
			h.Create(ctx, event.TypedCreateEvent[*batchv1.Job]{Object: o}, r.queue)
		default:
			h.Update(ctx, event.TypedUpdateEvent[*batchv1.Job]{ObjectOld: old.(*batchv1.Job), ObjectNew: o}, r.queue)
		}
	case *corev1.Pod:
		h := r.watch.onPod(cluster)
		switch {
		case deleted:
			h.Delete(ctx, event.TypedDeleteEvent[*corev1.Pod]{Object: o}, r.queue)
		case old == nil:
			h.Create(ctx, event.TypedCreateEvent[*corev1.Pod]{Object: o}, r.queue)
		default:
			h.Update(ctx, event.TypedUpdateEvent[*corev1.Pod]{ObjectOld: old.(*corev1.Pod), ObjectNew: o}, r.queue)
		}
	}
}

// work carries out all passes that are due and returns the databases whose pass failed; they are due again.
func (r *replica) work() []target {
	var failed []target
	for r.queue.Len() > 0 {
		t, _ := r.queue.Get()
		_, err := r.rec.Reconcile(context.Background(), t)
		r.queue.Done(t)
		if err != nil {
			failed = append(failed, t)
		}
	}
	for _, t := range failed {
		r.queue.Add(t)
	}
	return failed
}
