package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// far connects to a server by a link that brings 4 KiB of its answers at a time, each of them late.
func far(t testing.TB, s *natstest.Server, late time.Duration) *nats.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "nats://"))
			if err != nil {
				near.Close()
				continue
			}
			go func() {
				defer server.Close()
				io.Copy(server, near)
			}()
			go func() {
				defer near.Close()
				for answer := make([]byte, 4<<10); ; {
					n, err := server.Read(answer)
					if err != nil {
						return
					}
					time.Sleep(late)
					if _, err := near.Write(answer[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return dialURL(t, Options{URL: "nats://" + l.Addr().String(), Name: t.Name()})
}

// stuck is an obstacle of prod/orders that was told by nobody yet.
func stuck(run int) events.Event {
	return events.Event{Environment: "prod", Database: "orders", Predicate: events.Stuck, Time: time.Now(), Attempt: &events.Attempt{Run: fmt.Sprint(run)}}
}

// To look through the obstacles that were told before takes longer than an attempt, and longer than any one call has the time for.
func TestAnObstacleIsPublishedAfterAnyNumberOfOthers(t *testing.T) {
	t.Parallel()
	s := run(t)
	p := publisher(t, dial(t, s))
	const told = 20
	for i := range told {
		if err := p.PublishEvent(bounded(t), stuck(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	late := attemptTimeout / 10
	if err := publisher(t, far(t, s, late)).PublishEvent(bounded(t), stuck(told), 0); err != nil {
		t.Errorf("in one call: %v", err)
	}
	again, next := publisher(t, far(t, s, late)), stuck(told+1)
	for all := bounded(t); ; {
		ctx, cancel := context.WithTimeout(all, attemptTimeout/2)
		err := again.PublishEvent(ctx, next, 0)
		cancel()
		if err == nil {
			break
		}
		if all.Err() != nil || !errors.As(err, new(*UnreachableError)) {
			t.Fatalf("in many calls: %v", err)
		}
	}
	if got := stateOf(t, p, events.EventStream).Msgs; got != told+2 {
		t.Errorf("%d facts left %d messages", told+2, got)
	}
}

// To list what a large installation has takes longer than an attempt, and yields each thing once.
func TestAListTakesAsLongAsItTakes(t *testing.T) {
	t.Parallel()
	s := run(t)
	p := publisher(t, dial(t, s))
	const databases = 150
	want := map[string]int{}
	for i := range databases {
		state := events.State{Environment: "prod", Database: fmt.Sprint("orders-", i)}
		at("7")(&state)
		if _, err := p.PublishState(bounded(t), state, 0, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		e := stuck(i)
		e.Database = state.Database
		if err := p.PublishEvent(bounded(t), e, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
		want[e.Database] = 1
	}
	streams, err := NewStreams(far(t, s, attemptTimeout/10))
	if err != nil {
		t.Fatal(err)
	}
	states, err := streams.States(bounded(t), "")
	listed := map[string]int{}
	for _, s := range states {
		listed[s.Database]++
	}
	if diff := cmp.Diff(want, listed); err != nil || diff != "" {
		t.Errorf("states: %v, -want +got\n%s", err, diff)
	}
	told, err := streams.Events(bounded(t), "", time.Now().Add(-time.Hour))
	listed = map[string]int{}
	for _, e := range told {
		listed[e.Database]++
	}
	if diff := cmp.Diff(want, listed); err != nil || diff != "" {
		t.Errorf("events: %v, -want +got\n%s", err, diff)
	}
}
