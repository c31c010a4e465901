package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
)

// States tells what is published of a database. Publisher is one.
type States interface {
	State(ctx context.Context, environment, database, tenant string) (state events.State, revision uint64, err error)
}

// Explain looks once at an Application as the controller does, with o.Config, and says what it sees and what it decides. It changes
// nothing. With states nil, what is published counts as nothing. It needs get, list and watch on Applications, Jobs and Pods in the
// namespaces of o, and get on AppProjects; with o.ClusterSecrets also list on Secrets there. Without the rights to list it ends with the API
// server's refusal. A destination that cannot be read is no error; the explanation says why.
//
// What passed before this look is known to the running controller and to NATS alone, and so is how long an Application has waited in vain
// to be synced.
func Explain(ctx context.Context, o Options, states States, key types.NamespacedName) (Explanation, error) {
	if o.Config == nil {
		return Explanation{}, errors.New("explain: no cluster is given")
	}
	o = o.forLook()
	ctx, cancel := context.WithCancelCause(ctx)
	scheme, err := newScheme()
	if err != nil {
		cancel(nil)
		return Explanation{}, err
	}
	live, err := client.New(o.Config, client.Options{Scheme: scheme})
	if err != nil {
		cancel(nil)
		return Explanation{}, fmt.Errorf("explain %s: %w", key, err)
	}
	options := o.cacheOptions()
	options.Scheme = scheme
	options.DefaultWatchErrorHandler = func(_ *toolscache.Reflector, err error) {
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) {
			cancel(err) // another try would end the same way
		}
	}
	seen, err := cache.New(abridging(o.Config), options)
	if err != nil {
		cancel(nil)
		return Explanation{}, fmt.Errorf("explain %s: %w", key, err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	if err := o.index(ctx, seen); err != nil {
		return Explanation{}, fmt.Errorf("explain %s: %w", key, either(context.Cause(ctx), err))
	}
	running.Add(1)
	go func() {
		defer running.Done()
		if err := seen.Start(ctx); err != nil {
			cancel(err)
		}
	}()
	if !seen.WaitForCacheSync(ctx) {
		return Explanation{}, fmt.Errorf("explain %s: read the cluster: %w", key, context.Cause(ctx))
	}
	w := world{Options: o, cluster: seen, live: live, places: o.places(place{cache: seen, live: live}), stalls: newStalls(), hydrations: newHydrations()}
	unread, leave, err := w.visit(ctx, scheme, key)
	if err != nil {
		return Explanation{}, fmt.Errorf("explain %s: %w", key, err)
	}
	defer leave()
	e, err := explain(ctx, w, states, key)
	if e.Unread != "" && unread != nil {
		e.Unread = unread.Error()
	}
	return e, err
}

// visit reads the cluster that an Application deploys to, if that is another one and Secrets may be read, until leave is called.
// It returns why it cannot be read, if so.
func (w world) visit(ctx context.Context, scheme *runtime.Scheme, key types.NamespacedName) (unread error, leave func(), err error) {
	leave = func() {}
	var a argo.Application
	if err := w.cluster.Get(ctx, key, &a); err != nil {
		return nil, leave, err
	}
	if w.ClusterSecrets == "" || w.places.of(a.Spec.Destination).Cluster == "" {
		return nil, leave, nil
	}
	var list corev1.SecretList
	if err := w.live.List(ctx, &list, client.InNamespace(w.ClusterSecrets), client.MatchingLabelsSelector{Selector: clusterSecrets}); err != nil {
		return nil, leave, err
	}
	all, addresses := w.remotes(list.Items)
	w.places.change(func() { w.places.addresses = addresses })
	r, ok := all[w.places.of(a.Spec.Destination).Cluster]
	switch {
	case !ok:
		return errors.New("Argo CD has no Secret of it in " + w.ClusterSecrets), leave, nil
	case r.unusable != nil:
		return r.unusable, leave, nil
	}
	o, err := r.open(ctx, scheme)
	if err == nil {
		err = o.ask(ctx)
	}
	if err != nil {
		return err, leave, nil
	}
	aside := workqueue.NewTypedRateLimitingQueue(patience()) // nobody looks at what is woken
	stop, err := o.start(ctx, &watcher{Options: w.Options, places: w.places, stalls: w.stalls, hydrations: w.hydrations, captures: newCaptures(prometheus.NewCounter(prometheus.CounterOpts{}))}, aside)
	if err != nil {
		aside.ShutDown()
		return err, leave, nil
	}
	w.places.change(func() { w.places.remote[r.address] = o.place() })
	return nil, func() { stop(); aside.ShutDown() }, nil
}

// explain judges every database of an Application by what the world shows.
func explain(ctx context.Context, w world, states States, key types.NamespacedName) (Explanation, error) {
	var a argo.Application
	if err := w.cluster.Get(ctx, key, &a); err != nil {
		return Explanation{}, fmt.Errorf("explain %s: %w", key, err)
	}
	to := w.places.of(a.Spec.Destination)
	out := newExplanation(&a, newApplication(&a, to))
	if out.Cluster = to.Cluster; to.place == nil {
		out.Unread = "its Jobs are not looked for; Argo CD's word is taken"
	}
	for _, t := range w.concerns(ctx, &a) {
		o, err := w.observe(ctx, t, nil)
		if err != nil {
			return out, err
		}
		o.State = events.State{Environment: t.Environment, Database: t.Database}
		if states != nil {
			if o.State, _, err = states.State(ctx, t.Environment, t.Database, ""); err != nil {
				return out, fmt.Errorf("read the state of %s: %w", t, err)
			}
		}
		if err := w.owner(ctx, &o); err != nil {
			return out, err
		}
		out.Databases = append(out.Databases, newDatabase(o, decide(o), key, states != nil))
	}
	// What only seems to be of an environment called like its namespace, for Jobs tell of another.
	all := slices.Clone(out.Databases)
	out.Databases = slices.DeleteFunc(out.Databases, func(d Database) bool {
		return d.silent() && slices.ContainsFunc(all, func(e Database) bool { return e.Database == d.Database && len(e.Jobs) > 0 })
	})
	return out, nil
}

// concerns lists the databases that an Application shows, in its last operation or among its resources, by name.
func (w world) concerns(ctx context.Context, a *argo.Application) []target {
	all := (&watcher{Options: w.Options, places: w.places}).targets(ctx, a)
	view := newApplication(a, w.places.of(a.Spec.Destination))
	for _, r := range a.Status.Resources {
		if n, ok := manifests.ParseName(r.Name); ok {
			if t, ok := view.targetOf(types.NamespacedName{Namespace: r.Namespace, Name: r.Name}, n); ok {
				all = append(all, t)
			}
		}
	}
	slices.SortFunc(all, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all)
}
