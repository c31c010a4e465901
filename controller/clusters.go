package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/controller/kubeevent"
)

// clusters follows the Secrets of the clusters that Argo CD deploys to, and reads each cluster for as long as its Secret is there and
// its API server answers. None waits for another, and nothing else waits for any of them.
type clusters struct {
	Options
	applications client.Reader // the cache
	watcher      *watcher
	metrics      *metrics
	recorder     record.EventRecorder
	scheme       *runtime.Scheme
	queues       chan queue // gives the work queue, once it is there
}

// follow is the queue's source, which passes the queue on. It is called before any pass, when this replica leads: what happens in other clusters
// waits for them from then on, however long it has stood by.
func (c *clusters) follow(_ context.Context, q queue) error {
	c.watcher.places.await()
	c.queues <- q
	return nil
}

// Start implements manager.Runnable. It works until ctx ends, and waits for what it has begun.
func (c *clusters) Start(ctx context.Context) error {
	var q queue
	select {
	case q = <-c.queues:
	case <-ctx.Done():
		return nil
	}
	changed := make(chan struct{}, 1)
	seen, err := c.secrets(ctx, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("read cluster secrets: %w", err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running.Go(func() { _ = seen.Start(ctx) }) // fails only where it was started before
	if !seen.WaitForCacheSync(ctx) {
		return nil
	}
	read := reading{clusters: c, queue: q, of: map[string]*reader{}}
	defer read.stop()
	for {
		var list corev1.SecretList
		if err := seen.List(ctx, &list); err != nil {
			return fmt.Errorf("read cluster secrets: %w", err)
		}
		read.turn(ctx, list.Items)
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// secrets prepares to read the Secrets of clusters; note is told of each change, and must not block. A refusal to let them be read is told
// once, and nothing waits for them any more.
func (c *clusters) secrets(ctx context.Context, note func()) (cache.Cache, error) {
	refused := sync.OnceFunc(func() {
		c.Log.WarnContext(ctx, "other clusters are not read: grant list and watch on secrets", "namespace", c.ClusterSecrets)
		c.watcher.places.change(func() { c.watcher.places.unlisted = time.Time{} })
	})
	seen, err := cache.New(c.Config, cache.Options{
		Mapper: mapper(corev1.SchemeGroupVersion.WithKind("Secret")),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: namespaces([]string{c.ClusterSecrets}), Label: clusterSecrets, Transform: cache.TransformStripManagedFields()},
		},
		DefaultWatchErrorHandler: func(r *toolscache.Reflector, err error) {
			if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
				refused()
				return
			}
			toolscache.DefaultWatchErrorHandler(r, err)
		},
	})
	if err != nil {
		return nil, err
	}
	informer, err := seen.GetInformer(ctx, &corev1.Secret{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { note() }, UpdateFunc: func(any, any) { note() }, DeleteFunc: func(any) { note() },
	})
	return seen, err
}

var clusterSecrets = labels.SelectorFromSet(labels.Set{secretTypeLabel: secretTypeCluster})

// reading are the clusters that are being read, by address.
type reading struct {
	*clusters
	queue queue
	of    map[string]*reader
}

// reader reads one cluster until it is cancelled, and then for as long as done is open.
type reader struct {
	*remote
	cancel func()
	done   chan struct{}
}

// turn ends reading the clusters that are gone or have changed, and begins to read the new ones.
func (r reading) turn(ctx context.Context, secrets []corev1.Secret) {
	wanted, addresses := r.remotes(secrets)
	before := map[string]*reader{}
	for address, is := range r.of {
		if now, ok := wanted[address]; !ok || !now.same(is.remote) {
			is.cancel()
			before[address] = is
			delete(r.of, address)
		}
	}
	r.watcher.places.list(addresses, slices.Collect(maps.Keys(wanted)), func(address string) bool { return r.of[address] != nil })
	for address, now := range wanted {
		if r.of[address] == nil {
			r.of[address] = r.begin(ctx, now, before[address])
		}
	}
}

// stop waits until no cluster is read any more.
func (r reading) stop() {
	for _, is := range r.of {
		is.cancel()
	}
	for _, is := range r.of {
		<-is.done
	}
}

// begin reads a cluster, once the reader before it, if there was one, has ended.
func (r reading) begin(ctx context.Context, cluster *remote, before *reader) *reader {
	ctx, cancel := context.WithCancel(ctx)
	is := &reader{cluster, cancel, make(chan struct{})}
	go func() {
		defer close(is.done)
		if before != nil {
			<-before.done
		}
		r.keep(ctx, cluster, r.queue)
	}()
	return is
}

// keep reads a cluster whenever it can be, until ctx ends.
func (c *clusters) keep(ctx context.Context, r *remote, q queue) {
	told := false // that it cannot be
	for ctx.Err() == nil {
		err := r.unusable
		if err == nil {
			err = c.hold(ctx, r, q, func() {
				c.Log.InfoContext(ctx, "the Jobs of a cluster are read", "cluster", r.name, "secret", r.secret.Name)
				if told {
					kubeevent.Record(c.recorder, r.secret, corev1.EventTypeNormal, reasonReachable, "the Jobs of the cluster are read")
				}
				told = false
			})
		}
		if ctx.Err() != nil {
			break
		}
		c.watcher.places.change(func() { delete(c.watcher.places.awaited, r.address) })
		c.lose(ctx, r, q)
		if !told {
			c.Log.WarnContext(ctx, "the Jobs of a cluster cannot be read; Argo CD's word is taken", "cluster", r.name, "secret", r.secret.Name, "error", err)
			kubeevent.Record(c.recorder, r.secret, corev1.EventTypeWarning, reasonUnreachable, "the Jobs of the cluster cannot be read: "+err.Error())
			told = true
		}
		wait := time.After(askEvery)
		if r.unusable != nil {
			wait = nil // until there is another Secret
		}
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
	c.lose(context.WithoutCancel(ctx), r, q)
	c.metrics.clusters.DeleteLabelValues(r.name)
}

// hold reads a cluster until ctx ends, or it cannot be read any more, and returns why.
func (c *clusters) hold(ctx context.Context, r *remote, q queue, reads func()) error {
	o, err := r.open(ctx, c.scheme)
	if err != nil {
		return err
	}
	if err := o.ask(ctx); err != nil {
		return err
	}
	stop, err := o.start(ctx, c.watcher, q)
	if err != nil {
		return err
	}
	defer stop()
	c.gain(ctx, r, o.place(), q)
	reads()
	for failed, pause := 0, askEvery; ; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		if err := o.ask(ctx); err == nil {
			failed, pause = 0, askEvery
		} else if failed, pause = failed+1, askAgain; failed == askTimes {
			return err
		}
	}
}

// gain has the Jobs of a cluster speak for themselves.
func (c *clusters) gain(ctx context.Context, r *remote, at *place, q queue) {
	p := c.watcher.places
	p.change(func() {
		p.remote[r.address] = at
		delete(p.awaited, r.address)
	})
	c.metrics.clusters.WithLabelValues(r.name).Set(1)
	c.wake(ctx, r.address, q)
}

// lose has Argo CD's word taken for what happens in a cluster. Results that its Jobs have shown, and nobody has looked at yet, are captured.
func (c *clusters) lose(ctx context.Context, r *remote, q queue) {
	p := c.watcher.places
	var jobs batchv1.JobList
	if was := p.at(r.address); was != nil && was.cache.List(ctx, &jobs, client.UnsafeDisableDeepCopy) == nil {
		for i := range jobs.Items {
			c.watcher.captureJob(ctx, r.address, &jobs.Items[i])
		}
	}
	p.change(func() { delete(p.remote, r.address) })
	c.metrics.clusters.WithLabelValues(r.name).Set(0)
	for i := range jobs.Items {
		wake(&jobs.Items[i], q)
	}
	c.wake(ctx, r.address, q)
}

// wake has every database looked at whose Application deploys to a cluster.
func (c *clusters) wake(ctx context.Context, address string, q queue) {
	var list argo.ApplicationList
	if err := c.applications.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return // it is shutting down
	}
	for i := range list.Items {
		a := &list.Items[i]
		if c.watcher.places.of(a.Spec.Destination).Cluster != address {
			continue
		}
		for _, t := range c.watcher.targets(ctx, a) {
			q.Add(t)
		}
	}
}
