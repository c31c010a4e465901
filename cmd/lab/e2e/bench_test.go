package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// BenchmarkPushToReady measures one release after another, from the moment the push has returned to the event that says
// the schema is ready, and tells where the time goes: medians, in seconds.
//
//	go run ./cmd/lab run -- go test -run '^$' -bench PushToReady -benchtime 10x ./cmd/lab/e2e
func BenchmarkPushToReady(b *testing.B) {
	s := begin(b)
	if _, err := s.Found(b.Context()); err != nil {
		b.Fatal(err)
	}
	parts := []struct {
		name     string
		from, to func(story.Release) time.Time
		seconds  []float64
	}{
		{name: "s/push-to-ready", from: pushed, to: published},
		{name: "s/render", from: pushed, to: committed},
		{name: "s/argocd", from: committed, to: created},
		{name: "s/pod", from: created, to: running},
		{name: "s/migrate+job", from: running, to: finished},
		{name: "s/publish", from: finished, to: published},
	}
	version := 1
	for b.Loop() {
		version++
		r, err := s.Push(b.Context(), fmt.Sprintf("migration %d", version), map[string]string{
			fmt.Sprintf("orders/migrations/%04d_note.sql", version): fmt.Sprintf("COMMENT ON TABLE orders IS 'version %d';\n", version),
		})
		if err != nil {
			b.Fatal(err)
		}
		if r.Event.Predicate != events.Succeeded {
			b.Fatalf("migration %d ended with %s", version, r.Message.Subject)
		}
		for i := range parts {
			parts[i].seconds = append(parts[i].seconds, parts[i].to(r).Sub(parts[i].from(r)).Seconds())
		}
	}
	for _, p := range parts {
		slices.Sort(p.seconds)
		b.ReportMetric(p.seconds[len(p.seconds)/2], p.name)
	}
	b.ReportMetric(0, "ns/op") // includes the push itself
}

func pushed(r story.Release) time.Time    { return r.Pushed }
func committed(r story.Release) time.Time { return r.Committed }
func created(r story.Release) time.Time   { return r.Created }
func running(r story.Release) time.Time   { return r.Running }
func finished(r story.Release) time.Time  { return r.Finished }
func published(r story.Release) time.Time { return r.Published }
