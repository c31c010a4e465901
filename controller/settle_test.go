package controller

import (
	"maps"
	"slices"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/schemawave/schemawave/events"
)

// TestEventOfAStateIsNotLost: a controller is killed between a state and its event, and by the time that the next one leads Argo CD
// has deleted the Job and begun another sync.
func TestEventOfAStateIsNotLost(t *testing.T) {
	for name, o := range modes {
		b, rec := newBroker(t), recording(t, "b-exit65-retry0")
		whole := newReplica(t, newShelf(t, o), o, b)
		for _, d := range rec {
			whole.deliver(d)
			whole.work()
		}
		all := len(b.log)
		lost := b.log[all-1]
		if lost.Predicate != events.Failed {
			t.Fatalf("%s: the last event is %s", name, lost.Predicate)
		}
		b.log = b.log[:all-1]
		delete(b.told, lost.ID)

		// Nothing shows the attempt that failed any more.
		next := newReplica(t, newShelf(t, o), o, b)
		for _, d := range rec[:len(rec)/2] {
			next.deliver(d)
		}
		next.work()
		if !slices.ContainsFunc(b.log, func(e events.Event) bool { return e.ID == lost.ID }) {
			t.Errorf("%s: of %d events, that of the state is missing", name, len(b.log))
		}
	}
}

// TestPublishedIsToldOnce: what has changed a state is told once, with its event, and what a restart finds out is not told again.
func TestPublishedIsToldOnce(t *testing.T) {
	for name, o := range modes {
		told := map[string]int{}
		o.Published = func(e events.Event) { told[string(e.Predicate)+" "+e.ID]++ }
		b, rec := newBroker(t), recording(t, "b-exit65-retry0")
		s := newShelf(t, o)
		first := newReplica(t, s, o, b)
		for _, d := range rec {
			first.deliver(d)
			first.work()
		}
		next := newReplica(t, s, o, b)
		next.start()
		next.work()
		for result, is := range map[string]bool{"ok": true, "error": false} {
			var reads dto.Metric
			if err := next.rec.metrics.publishes.WithLabelValues("read", result).Write(&reads); err != nil {
				t.Fatal(err)
			}
			if n := reads.Counter.GetValue(); n > 0 != is {
				t.Errorf("%s: %v reads with result %s are counted", name, n, result)
			}
		}
		want := map[string]int{}
		for _, e := range b.log {
			if e.Predicate != events.Started {
				want[string(e.Predicate)+" "+e.ID] = 1
			}
		}
		if len(want) == 0 || !maps.Equal(told, want) {
			t.Errorf("%s: told %v, want %v", name, told, want)
		}
	}
}

// TestEventOfAStateIsNotLostWithItsDatabase: by the time that the next one leads, nothing names the database any more.
func TestEventOfAStateIsNotLostWithItsDatabase(t *testing.T) {
	b := newBroker(t)
	b.slot("production", "orders").state = published("1")
	for range 2 {
		r := newReplica(t, newShelf(t, Options{}), Options{}, b)
		r.queue.Add(orders)
		if failed := r.work(); len(failed) > 0 {
			t.Fatal(failed)
		}
		if len(b.log) != 1 || b.log[0].Predicate != events.Succeeded {
			t.Errorf("told of %v", b.log)
		}
	}
}
