package controller

import (
	"strings"
	"testing"

	"k8s.io/client-go/tools/record"
)

// TestSkipIsTold replays a push that a real Argo CD answered with a partial sync: people and the metric are told of the skipped
// migration, once, and a controller that starts anew publishes it no second time.
func TestSkipIsTold(t *testing.T) {
	for mode, o := range modes {
		t.Run(mode, func(t *testing.T) {
			b, s := newBroker(t), newShelf(t, o)
			r := newReplica(t, s, o, b)
			told := make(chan string, 100)
			r.rec.people.recorder = &record.FakeRecorder{Events: told}
			for _, d := range recording(t, "c2-skip-autosync-paused") {
				r.deliver(d)
				r.work()
			}
			r.start()
			r.work()
			var skips []string
			for len(told) > 0 {
				if e := <-told; strings.Contains(e, "MigrationSkipped") {
					skips = append(skips, e)
				}
			}
			const want = "Warning MigrationSkipped the migration of c2/orders to 20260102000000 was left out by a sync that runs no hooks; " +
				"sync the whole application argocd/c2"
			if len(skips) != 1 || skips[0] != want {
				t.Errorf("people were told %q, want %q", skips, want)
			}
			if got := scrape(t, r, "schemawave_migration_obstacle", target{"c2", "orders"}, "skipped"); got != 1 {
				t.Errorf("the metric is %v", got)
			}
			if s := b.slot("c2", "orders").state; s.Ready == nil || s.Ready.Version != "20260101000000" || s.LastAttempt.Version != "20260101000000" {
				t.Errorf("the state is %+v, want version 20260101000000, which an attempt reached", s)
			}

			before := strings.Join(b.history(), "\n")
			next := newReplica(t, s, o, b)
			next.start()
			next.work()
			if after := strings.Join(b.history(), "\n"); after != before {
				t.Errorf("after a start anew:\n%s\nbefore:\n%s", after, before)
			}
			if got := scrape(t, next, "schemawave_migration_obstacle", target{"c2", "orders"}, "skipped"); got != 1 {
				t.Errorf("after a start anew the metric is %v", got)
			}
		})
	}
}
