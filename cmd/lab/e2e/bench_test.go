package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// BenchmarkPushToReady measures one release after another, from the moment the push has returned to the event that says
// the schema is ready and to the start of a container whose Pod waits for it, and tells where the time goes: medians, in seconds.
//
//	go run ./cmd/lab run -- go test -run '^$' -bench PushToReady -benchtime 10x ./cmd/lab/e2e
func BenchmarkPushToReady(b *testing.B) {
	s := begin(b)
	if _, err := s.Found(b.Context()); err != nil {
		b.Fatal(err)
	}
	parts := []struct {
		name     string
		from, to func(awaited) time.Time
		seconds  []float64
	}{
		{name: "s/push-to-ready", from: pushed, to: published},
		{name: "s/push-to-started", from: pushed, to: started},
		{name: "s/render", from: pushed, to: committed},
		{name: "s/argocd", from: committed, to: created},
		{name: "s/pod", from: created, to: running},
		{name: "s/migrate+job", from: running, to: finished},
		{name: "s/publish", from: finished, to: published},
		{name: "s/release", from: published, to: waited},
		{name: "s/start", from: waited, to: started},
	}
	version := 1
	for b.Loop() {
		version++
		var a awaited
		ended := wait(b, s, version, &a)
		var err error
		a.Release, err = s.Push(b.Context(), fmt.Sprintf("migration %d", version), map[string]string{
			fmt.Sprintf("orders/migrations/%04d_note.sql", version): fmt.Sprintf("COMMENT ON TABLE orders IS 'version %d';\n", version),
		})
		if err != nil {
			b.Fatal(err)
		}
		if a.Event.Predicate != events.Succeeded {
			b.Fatalf("migration %d ended with %s", version, a.Message.Subject)
		}
		<-ended
		if a.started.IsZero() {
			b.Fatalf("what waits for version %d was not seen to start", version)
		}
		for i := range parts {
			parts[i].seconds = append(parts[i].seconds, parts[i].to(a).Sub(parts[i].from(a)).Seconds())
		}
	}
	for _, p := range parts {
		slices.Sort(p.seconds)
		b.ReportMetric(p.seconds[len(p.seconds)/2], p.name)
	}
	b.ReportMetric(0, "ns/op") // includes the push itself
}

// awaited is a release, and a Pod that waits for it.
type awaited struct {
	story.Release

	waited  time.Time // the init container was seen to have ended
	started time.Time // the service was seen to run
}

func pushed(a awaited) time.Time    { return a.Pushed }
func committed(a awaited) time.Time { return a.Committed }
func created(a awaited) time.Time   { return a.Created }
func running(a awaited) time.Time   { return a.Running }
func finished(a awaited) time.Time  { return a.Finished }
func published(a awaited) time.Time { return a.Published }
func waited(a awaited) time.Time    { return a.waited }
func started(a awaited) time.Time   { return a.started }

// wait makes a Pod like the storefront's that waits for a version, and returns once its init container runs. The channel is closed
// when the service was seen to run, or will not be; the Pod is gone then.
func wait(b *testing.B, s *story.Story, version int, a *awaited) <-chan struct{} {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 3*time.Minute)
	var storefront appsv1.Deployment
	if err := s.Cluster.Get(ctx, client.ObjectKey{Namespace: story.Staging, Name: "storefront"}, &storefront); err != nil {
		b.Fatal(err)
	}
	pod := &corev1.Pod{Spec: storefront.Spec.Template.Spec}
	pod.Namespace, pod.Name = story.Staging, fmt.Sprintf("waits-for-%d", version)
	args := pod.Spec.InitContainers[0].Args
	args[len(args)-1] = fmt.Sprintf("%s/%s@%d", story.Staging, story.Database, version)
	for i, e := range pod.Spec.Containers[0].Env {
		if e.Name == "QUERY" {
			pod.Spec.Containers[0].Env[i].Value = "SELECT id FROM orders" // what the storefront itself asks for is not in these migrations
		}
	}
	watch, err := s.Cluster.Watch(ctx, &corev1.PodList{}, client.InNamespace(story.Staging), client.MatchingFields{"metadata.name": pod.Name})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Cluster.Create(ctx, pod); err != nil {
		b.Fatal(err)
	}
	waits, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		defer watch.Stop()
		waiting := false
		for e := range watch.ResultChan() { // closed when ctx ends
			seen, ok := e.Object.(*corev1.Pod)
			if !ok || len(seen.Status.InitContainerStatuses) == 0 {
				continue
			}
			if seen.Status.InitContainerStatuses[0].State.Running != nil && !waiting {
				close(waits)
				waiting = true
			}
			if seen.Status.InitContainerStatuses[0].State.Terminated != nil && a.waited.IsZero() {
				a.waited = time.Now()
			}
			if c := seen.Status.ContainerStatuses; len(c) > 0 && c[0].State.Running != nil {
				a.started = time.Now()
				s.Cluster.Delete(ctx, pod, client.GracePeriodSeconds(0)) //nolint:errcheck // one Pod more does no harm
				return
			}
		}
	}()
	select {
	case <-waits:
	case <-ended:
		b.Fatalf("nothing waits for version %d", version)
	}
	return ended
}
