package controller

import (
	"strings"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"

	"github.com/schemawave/schemawave/events"
)

// TestStall ends a recording where a new commit is out of sync and Argo CD does nothing about it, and says nothing: that is told once it
// has had the time to, as what it is.
func TestStall(t *testing.T) {
	waiting := func(a *argo.Application) bool {
		s := a.Status.OperationState
		return s != nil && s.Phase.Completed() && a.Operation == nil && s.SyncResult.Revision != a.Status.Sync.Revision
	}
	deny := argo.SyncWindows{{Kind: "deny", Schedule: "* * * * *", Duration: "24h", Applications: []string{"*"}}}
	for _, c := range []struct {
		name    string
		windows argo.SyncWindows
		change  func(*argo.Application)
		secret  bool
		passed  time.Duration
		want    events.Predicate
	}{
		{"Argo CD may still begin", nil, nil, false, reaction - time.Second, ""},
		{"it had the time to", nil, nil, false, reaction, events.Stuck},
		{"a sync window is closed", deny, nil, false, reaction, events.Blocked},
		{"nobody may say whether a window is", nil, nil, true, reaction, ""},
		{"a person syncs it", nil, func(a *argo.Application) { a.Spec.SyncPolicy = nil }, false, reaction, ""},
		{"it is suspended", nil, func(a *argo.Application) { a.Annotations = map[string]string{skipReconcile: "true"} }, false, reaction, ""},
		{"a sync is asked for", nil, func(a *argo.Application) { a.Operation = &argo.Operation{} }, false, reaction, ""},
	} {
		for mode, o := range modes {
			t.Run(c.name+"/"+mode, func(t *testing.T) {
				b, s := newBroker(t), newShelf(t, o)
				r := newReplica(t, s, o, b)
				s.windows, s.secret = c.windows, c.secret
				clock := minute(1)
				r.rec.world.stalls.now = func() time.Time { return clock }
				for _, d := range recording(t, "c1-skip-op-in-progress") {
					a, ok := d.object.(*argo.Application)
					last := ok && waiting(a)
					if last && c.change != nil {
						c.change(a)
					}
					r.deliver(d)
					r.work()
					if last {
						break
					}
				}
				result, err := r.rec.Reconcile(t.Context(), target{"c1", "orders"})
				if err != nil {
					t.Fatal(err)
				}
				clock = clock.Add(c.passed)
				if _, err := r.rec.Reconcile(t.Context(), target{"c1", "orders"}); err != nil {
					t.Fatal(err)
				}
				got := events.Predicate("")
				if at := b.slot("c1", "orders").state.Obstacle; at != nil {
					got = at.Kind
				}
				if got != c.want {
					t.Errorf("%q is in the way, want %q; history:\n%s", got, c.want, strings.Join(b.history(), "\n"))
				}
				if c.change == nil && result.RequeueAfter != reaction {
					t.Errorf("looks again after %s", result.RequeueAfter)
				}
			})
		}
	}
}
