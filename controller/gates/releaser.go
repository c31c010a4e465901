package gates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"

	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/manifests"
)

// Options are what a Releaser works with. Config and Waiter are required.
type Options struct {
	Config     *rest.Config          // of the cluster in which the Pods are
	Waiter     *jetstream.Waiter     // on a connection that may read the states of all environments that Pods wait for
	Namespaces []string              // of the Pods; none means everywhere
	Metrics    prometheus.Registerer // nil: none are registered
	Log        *slog.Logger          // nil: nothing is logged
}

// Releaser removes the scheduling gates of Pods whose schemas are ready.
type Releaser struct {
	Options
	metrics *metrics
}

// New prepares a Releaser. It talks to no one.
func New(o Options) (*Releaser, error) {
	if o.Config == nil || o.Waiter == nil {
		return nil, errors.New("release gates: a cluster and a waiter are needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	return &Releaser{Options: o, metrics: m}, nil
}

// Run works until ctx ends, which is no error. One replica should: several do no harm, and each of them watches and tells the same.
func (r *Releaser) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	c, err := r.cluster()
	if err != nil {
		return fmt.Errorf("release gates: %w", err)
	}
	q := newQueue(r.metrics, c, r.Log)
	informer, err := c.GetCache().GetInformer(ctx, &corev1.Pod{})
	if err == nil {
		_, err = informer.AddEventHandler(q)
	}
	if err != nil {
		return fmt.Errorf("release gates: %w", err)
	}
	r.Log.InfoContext(ctx, "releasing gated pods", "namespaces", r.Namespaces)
	group.Go(func() error { return c.Start(ctx) })
	group.Go(func() error {
		if c.GetCache().WaitForCacheSync(ctx) {
			q.run(ctx, newStates(ctx, r.Waiter, q.Add, r.Log))
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("release gates: %w", err)
	}
	return nil
}

// cluster connects to the gated Pods, and keeps of them what is read here.
func (r *Releaser) cluster() (cluster.Cluster, error) {
	config := rest.CopyConfig(r.Config)
	config.QPS = -1 // one publish may release hundreds; the workers are few, and the API server has a queue of its own
	pods := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{manifests.LabelGated: manifests.Gated}), Transform: strip}
	for _, namespace := range r.Namespaces {
		if pods.Namespaces == nil {
			pods.Namespaces = map[string]cache.Config{}
		}
		pods.Namespaces[namespace] = cache.Config{}
	}
	return cluster.New(config, func(o *cluster.Options) {
		o.Scheme, o.Logger = clientgoscheme.Scheme, logr.FromSlogHandler(r.Log.Handler())
		o.Cache = cache.Options{ByObject: map[client.Object]cache.ByObject{&corev1.Pod{}: pods}}
	})
}

// strip leaves of a Pod who it is and what it waits for.
func strip(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion, DeletionTimestamp: p.DeletionTimestamp,
			Labels:      map[string]string{manifests.LabelGated: p.Labels[manifests.LabelGated]},
			Annotations: map[string]string{manifests.AnnotationGate: p.Annotations[manifests.AnnotationGate]},
		},
		Spec: corev1.PodSpec{SchedulingGates: p.Spec.SchedulingGates},
	}, nil
}

// key names the Pod of an informer's notice, also of one whose end was missed.
func key(obj any) (types.NamespacedName, bool) {
	name, err := toolscache.DeletionHandlingObjectToName(obj)
	return types.NamespacedName(name), err == nil
}
