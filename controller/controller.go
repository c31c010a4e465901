package controller

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Controller watches a cluster and publishes what its migrations prove.
type Controller struct {
	options Options
	manager manager.Manager
	again   chan event.TypedGenericEvent[struct{}] // everything is to be told again
	forget  func()                                 // what is known to be out
}

// New prepares a controller. It talks to no one but the API server, to learn what kinds there are.
func New(o Options) (*Controller, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Metrics == nil {
		o.Metrics = ctrlmetrics.Registry
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	var lease resourcelock.Interface
	if o.LeaderElection != nil {
		if lease, err = o.LeaderElection.lock(o.Config); err != nil {
			return nil, err
		}
	}
	c := &Controller{options: o, again: make(chan event.TypedGenericEvent[struct{}], 1)}
	if c.manager, err = ctrl.NewManager(abridging(o.Config), o.managerOptions(scheme, lease)); err != nil {
		return nil, fmt.Errorf("start controller: %w", err)
	}
	if err := c.wire(); err != nil {
		return nil, fmt.Errorf("start controller: %w", err)
	}
	return c, nil
}

func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, argo.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("register kinds: %w", err)
		}
	}
	return s, nil
}

func (o Options) managerOptions(scheme *runtime.Scheme, lease resourcelock.Interface) manager.Options {
	skip, grace := true, looseEnd
	m := manager.Options{
		Scheme:                  scheme,
		Cache:                   o.cacheOptions(),
		Logger:                  logr.FromSlogHandler(o.Log.Handler()),
		Metrics:                 metricsserver.Options{BindAddress: either(o.MetricsAddress, "0")},
		HealthProbeBindAddress:  either(o.HealthAddress, "0"),
		GracefulShutdownTimeout: &grace,
		// Controllers are told apart by their cluster, not by their name within the process.
		Controller: ctrlconfig.Controller{SkipNameValidation: &skip},
	}
	if l := o.LeaderElection; l != nil {
		m.LeaderElection, m.LeaderElectionResourceLockInterface = true, lease
		m.LeaseDuration, m.RenewDeadline, m.RetryPeriod = &l.LeaseDuration, &l.RenewDeadline, &l.RetryPeriod
		m.LeaderElectionReleaseOnCancel = true // Run returns only after all passes have ended
	}
	return m
}

// looseEnd bounds how long the manager waits for passes that are under way when it stops.
const looseEnd = 20 * time.Second

// patience is how long a database waits after a pass that failed: from 100 ms to half a minute, so that results are out soon
// after the broker is back.
func patience() workqueue.TypedRateLimiter[target] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[target](100*time.Millisecond, 30*time.Second)
}

// wire connects the watches to the queue, and the queue to the reconciler.
func (c *Controller) wire() error {
	o, mgr := c.options, c.manager
	if err := o.index(context.Background(), mgr.GetFieldIndexer()); err != nil {
		return err
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return err
	}
	captures := newCaptures(m.overflow)
	p := people{cluster: mgr.GetCache(), recorder: mgr.GetEventRecorderFor("schemawave")}
	places := o.places(place{cache: mgr.GetCache(), live: mgr.GetAPIReader(), jobs: mgr.GetClient()})
	stalls, hydrations := newStalls(), newHydrations()
	r := &reconciler{
		Options: o,
		world: world{
			Options: o, cluster: mgr.GetCache(), live: mgr.GetAPIReader(), places: places, stalls: stalls, hydrations: hydrations,
		},
		captures: captures, metrics: m, memory: newMemory(),
		people: p, healer: healer{live: mgr.GetAPIReader(), cluster: mgr.GetClient(), people: p, metrics: m},
	}
	c.forget = r.memory.tellAgain
	w := &watcher{Options: o, places: places, stalls: stalls, hydrations: hydrations, captures: captures}
	b := builder.TypedControllerManagedBy[target](mgr).Named("schemawave").
		WithOptions(controller.TypedOptions[target]{MaxConcurrentReconciles: o.Workers, RateLimiter: patience()}).
		WatchesRawSource(source.TypedKind(mgr.GetCache(), &argo.Application{}, w.onApplication())).
		WatchesRawSource(source.TypedChannel(c.again, w.onAgain(mgr.GetCache())))
	if !o.ApplicationsOnly {
		b = b.WatchesRawSource(source.TypedKind(mgr.GetCache(), &batchv1.Job{}, w.onJob(""))).
			WatchesRawSource(source.TypedKind(mgr.GetCache(), &corev1.Pod{}, w.onPod("")))
	}
	if o.ClusterSecrets != "" {
		others := &clusters{
			Options: o, applications: mgr.GetCache(), watcher: w, metrics: m, recorder: p.recorder, scheme: mgr.GetScheme(), queues: make(chan queue, 1),
		}
		b = b.WatchesRawSource(source.TypedFunc[target](others.follow))
		if err := mgr.Add(others); err != nil {
			return err
		}
	}
	if err := b.Complete(r); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("alive", healthz.Ping); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("caches", c.synced)
}

// synced answers whether the cluster has been read. A broker that does not answer is no reason to be unready: the webhook
// of the git side works without it, and what is found waits in the cluster.
func (c *Controller) synced(r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if !c.manager.GetCache().WaitForCacheSync(ctx) {
		return fmt.Errorf("the cluster has not been read yet")
	}
	return nil
}

// Run works until ctx ends, which is no error. It returns early if leadership is lost, or the cluster cannot be watched;
// then the process should end, and be started again.
func (c *Controller) Run(ctx context.Context) error {
	c.options.Log.InfoContext(ctx, "watching", "applications", scope(c.options.ApplicationNamespaces), "jobs", c.jobScope())
	if err := c.manager.Start(ctx); err != nil {
		return fmt.Errorf("run controller: %w", err)
	}
	return nil
}

// OnLeader runs work while this replica is the leader, or always without leader election; it must return when its context
// ends. An error from it ends Run. Call it before Run.
func (c *Controller) OnLeader(work func(context.Context) error) error {
	return c.manager.Add(manager.RunnableFunc(work))
}

// TellAgain has every database looked at as after a start, and all that is to be seen published again, for what was published is lost. It
// may be called at any time, while Run runs, and does not wait.
func (c *Controller) TellAgain() {
	c.forget()
	select {
	case c.again <- event.TypedGenericEvent[struct{}]{}:
	default: // it is to be done already
	}
}

// Refresher asks Argo CD to look at git again, from any replica while Run runs.
func (c *Controller) Refresher() *Refresher {
	return &Refresher{cluster: c.manager.GetClient(), log: c.options.Log}
}

func (c *Controller) jobScope() slog.Value {
	if c.options.ApplicationsOnly {
		return slog.StringValue("none: Argo CD's word is taken")
	}
	return scope(c.options.JobNamespaces)
}

func scope(namespaces []string) slog.Value {
	if len(namespaces) == 0 {
		return slog.StringValue("everywhere")
	}
	return slog.AnyValue(namespaces)
}
