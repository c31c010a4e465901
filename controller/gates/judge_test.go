package gates

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/events"
)

// TestGateJudged decides about Pods by all that can be known of their targets.
func TestGateJudged(t *testing.T) {
	at := func(database, version, minCompatible string) known {
		return known{state: events.State{Environment: "p", Database: database, Ready: &events.Ready{Version: version, MinCompatible: minCompatible}}, learnt: true}
	}
	failed := at("a", "1", "")
	failed.state.LastAttempt = &events.Attempt{Outcome: events.OutcomeFailed, Version: "2", Failure: &events.Failure{Message: "no room"}}
	away := errors.New("nats is away")
	troubled := at("a", "2", "")
	troubled.trouble = away
	const failure = "p/a is at 1, not yet at 2, and the last attempt at 2 failed and may be retried: no room"
	for _, c := range []struct {
		why, annotation string
		known           []known
		want            verdict
	}{
		{"ready", "p/a@2", []known{at("a", "3", "")}, verdict{true, reasonReady, "p/a is at 3"}},
		{"one of two is ready", "p/a@2, p/b@2", []known{at("a", "3", ""), at("b", "1", "")}, verdict{false, reasonNotReady, "p/b is at 1, not yet at 2"}},
		{"both are", "p/a@2,p/b@2", []known{at("a", "3", ""), at("b", "2", "")}, verdict{true, reasonReady, "p/a is at 3; p/b is at 2"}},
		{"no state", "p/a", []known{{state: events.State{Environment: "p", Database: "a"}, learnt: true}}, verdict{false, reasonNotReady, "p/a has no proven migration yet"}},
		{"not asked yet", "p/a", []known{{}}, verdict{}},
		{"one of two is not asked yet", "p/a@2,p/b@2", []known{failed, {}}, verdict{}},
		{"nothing can be learnt", "p/a@2", []known{{trouble: away}}, verdict{false, reasonUnknown, "nothing is known of p/a@2: nats is away"}},
		{"it was learnt before", "p/a@2", []known{troubled}, verdict{true, reasonReady, "p/a is at 2"}},
		{"too old", "p/a@2", []known{at("a", "4", "3")}, verdict{false, reasonIncompatible, "p/a is at 4 and serves readers of 3 or newer, not of 2: update the reader"}},
		{"failed", "p/a@2", []known{failed}, verdict{false, reasonFailed, failure}},
		{"the gravest counts", "p/b@2,p/a@2", []known{at("b", "4", "3"), failed}, verdict{false, reasonIncompatible, "p/b is at 4 and serves readers of 3 or newer, not of 2: update the reader; " + failure}},
	} {
		t.Run(c.why, func(t *testing.T) {
			targets, err := parse(c.annotation)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, judge(targets, c.known), cmp.AllowUnexported(verdict{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	for _, malformed := range []string{"", " ", "a", "p/a,", ",p/a", "p/a@", "p/a b"} {
		if targets, err := parse(malformed); err == nil {
			t.Errorf("%q is read as %v", malformed, targets)
		}
	}
}
