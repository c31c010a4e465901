package controller

import (
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/schemawave/schemawave/events"
)

// TestLag: only results are measured, not a migration's begin, which changes a state where it has got over an obstacle.
func TestLag(t *testing.T) {
	results, begun, samples := 0, 0, uint64(0)
	for _, name := range recordings(t) {
		o := modes["applications"]
		o.Published = func(e events.Event) {
			switch e.Predicate {
			case events.Succeeded, events.Failed:
				results++
			case events.Started:
				begun++
			}
		}
		r := newReplica(t, newShelf(t, o), o, newBroker(t))
		for _, d := range recording(t, name) {
			r.deliver(d)
			r.work()
		}
		var m dto.Metric
		if err := r.rec.metrics.lag.Write(&m); err != nil {
			t.Fatal(err)
		}
		samples += m.GetHistogram().GetSampleCount()
	}
	if samples != uint64(results) || results == 0 || begun == 0 {
		t.Errorf("%d samples of %d results, beside %d begins", samples, results, begun)
	}
}
