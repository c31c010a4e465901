package jetstream

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/schemawave/schemawave/events"
)

// 1,000 waits on four connections are all released by one publish, and the server keeps no consumer for any of them.
func TestAThousandWaitersAreReleased(t *testing.T) {
	const connections, each = 4, 250
	s := run(t)
	var (
		armed, released sync.WaitGroup
		right           atomic.Int64
	)
	ctx := bounded(t)
	for range connections {
		w := NewWaiter(dial(t, s))
		for range each {
			armed.Add(1)
			released.Go(func() {
				if waitArmed(ctx, w, armed.Done) {
					right.Add(1)
				}
			})
		}
	}
	armed.Wait()
	p := publisher(t, dial(t, s))
	if n := stateOf(t, p, events.StateStream).Consumers; n != 0 {
		t.Errorf("the stream has %d consumers", n)
	}
	publish(t, p, "prod", "6", at("6"))
	if n := right.Load(); n != 0 {
		t.Errorf("%d waits ended early", n)
	}
	publish(t, p, "prod", "7", at("7"))
	released.Wait()
	if n := right.Load(); n != connections*each {
		t.Errorf("%d of %d waits were released", n, connections*each)
	}
}

// waitArmed waits for prod/orders@7 and calls armed once, when the wait has seen that it is not there.
func waitArmed(ctx context.Context, w *Waiter, armed func()) bool {
	var once sync.Once
	states, err := w.Wait(ctx, Query{Targets: []events.Target{orders("prod", "7")}, Progress: func(string) { once.Do(armed) }})
	once.Do(armed)
	return err == nil && states[0].Ready.Version == "7"
}
