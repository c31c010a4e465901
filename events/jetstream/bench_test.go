package jetstream

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
)

// The two ways to wait for a value that is not there yet, each from arming 500 waits over four connections to the release
// of the last. A key-value watch needs a consumer per wait, of which a server allows 1,000 a stream.
func BenchmarkArmAndRelease(b *testing.B) {
	const connections, each = 4, 125
	b.Run("subscribe and direct get", func(b *testing.B) {
		s := run(b)
		p := publisher(b, dial(b, s))
		var waiters []*Waiter
		for range connections {
			waiters = append(waiters, NewWaiter(dial(b, s)))
		}
		publish(b, p, "prod", "0", at("6"))
		for i := 0; b.Loop(); i++ {
			armAndRelease(b, connections*each, func(n int, armed func()) bool {
				return waitArmed(b.Context(), waiters[n%connections], armed)
			}, func() { publish(b, p, "prod", fmt.Sprint("7-", i), at("7")) })
			publish(b, p, "prod", fmt.Sprint("6-", i), at("6"))
		}
	})
	b.Run("key-value watch", func(b *testing.B) {
		s := run(b)
		var buckets []jetstream.KeyValue
		for range connections {
			js, err := jetstream.New(dial(b, s))
			if err != nil {
				b.Fatal(err)
			}
			kv, err := js.CreateOrUpdateKeyValue(b.Context(), jetstream.KeyValueConfig{Bucket: "schema", Storage: jetstream.FileStorage})
			if err != nil {
				b.Fatal(err)
			}
			buckets = append(buckets, kv)
		}
		put := func(version string) {
			if _, err := buckets[0].PutString(b.Context(), "prod.orders", version); err != nil {
				b.Fatal(err)
			}
		}
		put("6")
		for b.Loop() {
			armAndRelease(b, connections*each, func(n int, armed func()) bool {
				return watchArmed(b.Context(), buckets[n%connections], armed)
			}, func() { put("7") })
			put("6")
		}
	})
}

func armAndRelease(b *testing.B, n int, wait func(n int, armed func()) bool, release func()) {
	var armed, released sync.WaitGroup
	armed.Add(n)
	for i := range n {
		released.Go(func() {
			if !wait(i, armed.Done) {
				b.Error("a wait was not released")
			}
		})
	}
	armed.Wait()
	release()
	released.Wait()
}

func watchArmed(ctx context.Context, kv jetstream.KeyValue, armed func()) bool {
	var once sync.Once
	defer once.Do(armed)
	w, err := kv.Watch(ctx, "prod.orders")
	if err != nil {
		return false
	}
	defer w.Stop() //nolint:errcheck // the benchmark is over for this watcher
	for e := range w.Updates() {
		switch {
		case e == nil:
			once.Do(armed)
		case string(e.Value()) == "7":
			return true
		}
	}
	return false
}

// A wait for what is there already: what most Pods pay at start.
func BenchmarkReadyAlready(b *testing.B) {
	s := run(b)
	publish(b, publisher(b, dial(b, s)), "prod", "7", at("7"))
	w := NewWaiter(dial(b, s))
	for b.Loop() {
		if _, err := w.Wait(b.Context(), Query{Targets: []events.Target{orders("prod", "7")}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublishState(b *testing.B) {
	p := publisher(b, dial(b, run(b)))
	state := events.State{Environment: "prod", Database: "orders"}
	at("7")(&state)
	var revision uint64
	for i := 0; b.Loop(); i++ {
		var err error
		if revision, err = p.PublishState(b.Context(), state, revision, fmt.Sprint(i)); err != nil {
			b.Fatal(err)
		}
	}
}
