package controller

import (
	"testing"

	"github.com/schemawave/schemawave/events"
)

// recorded is the database of the recordings that are played here.
var recorded = target{"b650", "orders"}

// TestWhatIsPublishedIsRemembered: only the first pass, and those that have nothing to publish, ask for the state.
func TestWhatIsPublishedIsRemembered(t *testing.T) {
	for name, o := range modes {
		b := newBroker(t)
		r := newReplica(t, newShelf(t, o), o, b)
		remembered := 0
		for _, d := range recording(t, "b-exit65-retry0") {
			reads, calls := b.reads, b.calls
			_, known := r.rec.memory.last(recorded)
			r.deliver(d)
			r.work()
			if b.calls > calls && known {
				remembered++
				if b.reads > reads {
					t.Errorf("%s: %d reads before %d calls", name, b.reads-reads, b.calls-calls)
				}
			}
		}
		if remembered < 2 {
			t.Errorf("%s: %d passes have published after the first", name, remembered)
		}
		reads := b.reads
		r.start()
		r.work()
		if b.reads == reads {
			t.Errorf("%s: nobody looks whether what is published is still there", name)
		}
	}
}

// TestWhatIsRememberedIsNotBelieved: just before a failure is seen, somebody else has published. What follows from what was there before is
// refused, and then follows from what is there.
func TestWhatIsRememberedIsNotBelieved(t *testing.T) {
	for name, o := range modes {
		b, rec := newBroker(t), recording(t, "b-exit65-retry0")
		r, last := newReplica(t, newShelf(t, o), o, b), 0
		for i, d := range rec {
			calls := b.calls
			r.deliver(d)
			r.work()
			if b.calls > calls {
				last = i
			}
		}

		*b = *newBroker(t)
		r = newReplica(t, newShelf(t, o), o, b)
		at := b.slot(recorded.Environment, recorded.Database)
		for _, d := range rec[:last] {
			r.deliver(d)
			r.work()
		}
		theirs := events.Ready{Version: "20990101000000", Digest: digest("9"), Evidence: events.EvidenceReport}
		*at = slot{state: at.state, revision: at.revision + 1, id: "theirs"}
		at.state.Ready = &theirs
		r.deliver(rec[last])
		if failed := r.work(); len(failed) != 1 || at.id != "theirs" {
			t.Errorf("%s: %d conflicts, then the state is %s", name, len(failed), at.id)
		}
		if failed := r.work(); len(failed) > 0 {
			t.Errorf("%s: passes go on failing", name)
		}
		if s := at.state; s.Ready == nil || *s.Ready != theirs || s.LastAttempt.Outcome != events.OutcomeFailed {
			t.Errorf("%s: in the end %+v, %+v", name, s.Ready, s.LastAttempt)
		}
	}
}
