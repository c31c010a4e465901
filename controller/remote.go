package controller

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
)

// A cluster is asked whether it can be read: now and then, soon again if it does not answer, and given up when it has not for some
// times in a row. One request may take as long as answering.
const (
	askEvery  = 10 * time.Second
	askAgain  = 2 * time.Second
	askTimes  = 3
	answering = 5 * time.Second
)

// opened is a cluster with a connection, of which nothing has been read yet.
type opened struct {
	*remote
	client client.Client
	cache  cache.Cache
}

// open prepares to read a cluster, and asks nobody: what kinds there are is known.
func (r *remote) open(ctx context.Context, s *runtime.Scheme) (opened, error) {
	known := mapper(batchv1.SchemeGroupVersion.WithKind("Job"), corev1.SchemeGroupVersion.WithKind("Pod"))
	http, err := rest.HTTPClientFor(r.config)
	if err != nil {
		return opened{}, fmt.Errorf("its tlsClientConfig cannot be used: %w", err)
	}
	c, err := client.New(r.config, client.Options{HTTPClient: http, Scheme: s, Mapper: known})
	if err != nil {
		return opened{}, err
	}
	seen, err := cache.New(r.config, cache.Options{
		HTTPClient: http, Scheme: s, Mapper: known, ByObject: jobCache(r.namespaces),
		DefaultWatchErrorHandler: func(*toolscache.Reflector, error) {}, // ask tells it, once
	})
	if err != nil {
		return opened{}, err
	}
	return opened{r, c, seen}, indexJobs(ctx, seen)
}

// mapper knows kinds of namespaced objects, and their lists.
func mapper(kinds ...schema.GroupVersionKind) meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, k := range kinds {
		m.Add(k, meta.RESTScopeNamespace)
		m.Add(k.GroupVersion().WithKind(k.Kind+"List"), meta.RESTScopeNamespace)
	}
	return m
}

// ask finds out whether Jobs and Pods can be read, at the price of one of each.
func (o opened) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	namespaces := o.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, n := range namespaces {
		for _, kind := range []schema.GroupVersionKind{batchv1.SchemeGroupVersion.WithKind("JobList"), corev1.SchemeGroupVersion.WithKind("PodList")} {
			var list metav1.PartialObjectMetadataList
			list.SetGroupVersionKind(kind)
			if err := o.client.List(ctx, &list, client.InNamespace(n), client.Limit(1)); err != nil {
				return advise(err)
			}
		}
	}
	return nil
}

// advise adds what to do about a cluster that cannot be read.
func advise(err error) error {
	var authority x509.UnknownAuthorityError
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w: renew its credentials", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: grant get, list and watch on jobs and pods there", err)
	case errors.As(err, &authority):
		return fmt.Errorf("%w: put the authority that signed it into its tlsClientConfig.caData", err)
	}
	return err
}

// start reads all there is, and follows it until ctx ends; stop then waits for that. It returns once all is read, or cannot be.
func (o opened) start(ctx context.Context, w *watcher, q queue) (stop func(), err error) {
	jobs, err := o.cache.GetInformer(ctx, &batchv1.Job{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	pods, err := o.cache.GetInformer(ctx, &corev1.Pod{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	stop = func() { cancel(); running.Wait() }
	if _, err := jobs.AddEventHandler(handle(ctx, w.onJob(o.address), q)); err != nil {
		stop()
		return nil, err
	}
	if _, err := pods.AddEventHandler(handle(ctx, w.onPod(o.address), q)); err != nil {
		stop()
		return nil, err
	}
	running.Go(func() { _ = o.cache.Start(ctx) }) // fails only where it was started before
	patient, done := context.WithTimeout(ctx, settling)
	defer done()
	if !o.cache.WaitForCacheSync(patient) {
		stop()
		return nil, fmt.Errorf("its Jobs and Pods did not arrive within %s", settling)
	}
	return stop, nil
}

// handle lets a handler know what an informer says.
func handle[T client.Object](ctx context.Context, h handler.TypedEventHandler[T, target], q queue) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { h.Create(ctx, event.TypedCreateEvent[T]{Object: obj.(T)}, q) },
		UpdateFunc: func(old, new any) {
			h.Update(ctx, event.TypedUpdateEvent[T]{ObjectOld: old.(T), ObjectNew: new.(T)}, q)
		},
		DeleteFunc: func(obj any) {
			if last, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			h.Delete(ctx, event.TypedDeleteEvent[T]{Object: obj.(T)}, q)
		},
	}
}

// place is the cluster once it is read.
func (o opened) place() *place {
	return &place{cache: o.cache, live: bounded{o.client}, jobs: o.client, namespaces: o.namespaces}
}

// bounded asks an API server that may be away, for no longer than it takes to answer.
type bounded struct{ client.Reader }

func (b bounded) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	return b.Reader.Get(ctx, key, obj, opts...)
}
