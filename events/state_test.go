package events_test

import (
	"testing"

	"github.com/schemawave/schemawave/events"
)

// TestLatest: a success that was found out late is the last word on its own sync only.
func TestLatest(t *testing.T) {
	failed, retried, another := &events.Attempt{Run: "a"}, &events.Attempt{Run: "a"}, &events.Attempt{Run: "b"}
	for _, c := range []struct {
		name string
		s    events.State
		want *events.Attempt
	}{
		{"nothing was tried", events.State{}, nil},
		{"nothing was found out late", events.State{LastAttempt: failed}, failed},
		{"the next try of the same sync", events.State{LastAttempt: failed, LateAttempt: retried}, retried},
		{"another sync", events.State{LastAttempt: failed, LateAttempt: another}, failed},
	} {
		if got := c.s.Latest(); got != c.want {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
}
