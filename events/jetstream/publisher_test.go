package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

func stateOf(t testing.TB, p *Publisher, stream string) jetstream.StreamState {
	t.Helper()
	var s jetstream.Stream
	err := p.retry(bounded(t), "look at stream "+stream, func(ctx context.Context) (err error) {
		s, err = p.js.Stream(ctx, stream)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State
}

func TestAPublishedStateIsReadBack(t *testing.T) {
	nc := dial(t, run(t))
	p := publisher(t, nc)
	empty, revision, err := p.State(bounded(t), "prod", "orders", "acme")
	if want := (events.State{Environment: "prod", Database: "orders", Tenant: "acme"}); err != nil || revision != 0 || empty != want {
		t.Errorf("before: %+v, %d, %v", empty, revision, err)
	}
	want := empty
	at("7")(&want)
	want.Ready.Since = time.Date(2026, 11, 22, 9, 31, 4, 0, time.UTC)
	stored, err := p.PublishState(bounded(t), want, 0, "id-7")
	if err != nil {
		t.Fatal(err)
	}
	got, revision, err := p.State(bounded(t), "prod", "orders", "acme")
	if diff := cmp.Diff(want, got); err != nil || revision != stored || diff != "" {
		t.Errorf("revision %d, want %d; %v; -want +got:\n%s", revision, stored, err, diff)
	}
	raw, err := nc.Request("$JS.API.DIRECT.GET.SCHEMA_STATE.schema.state.v1.prod.orders.acme", nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range want.Headers("id-7") {
		if got := raw.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if got := raw.Header.Get(nats.MsgIdHdr); got != "id-7" {
		t.Errorf("the message id is %q", got)
	}
}

func TestAStateIsPublishedOnce(t *testing.T) {
	s := run(t)
	state := events.State{Environment: "prod", Database: "orders"}
	at("7")(&state)
	var all sync.WaitGroup
	for range 8 {
		p := publisher(t, dial(t, s))
		all.Go(func() {
			for range 3 {
				if revision, err := p.PublishState(bounded(t), state, 0, "the fact"); err != nil || revision != 1 {
					t.Errorf("got %d, %v", revision, err)
				}
			}
		})
	}
	all.Wait()
	p := publisher(t, dial(t, s))
	if got := stateOf(t, p, events.StateStream).LastSeq; got != 1 {
		t.Errorf("one fact left %d messages", got)
	}
	if _, err := p.PublishState(bounded(t), state, 1, ""); err == nil {
		t.Error("a state without an id was accepted")
	}
}

func TestAnotherStateIsAConflict(t *testing.T) {
	p := publisher(t, dial(t, run(t)))
	state := events.State{Environment: "prod", Database: "orders"}
	first, err := p.PublishState(bounded(t), state, 0, "a")
	if err != nil {
		t.Fatal(err)
	}
	for name, expected := range map[string]uint64{"taken": 0, "from the future": first + 7} {
		if _, err := p.PublishState(bounded(t), state, expected, "b"); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := p.PublishState(bounded(t), events.State{Environment: "prod", Database: "none"}, 4, "c"); !errors.Is(err, ErrConflict) {
		t.Errorf("a place that was never taken: got %v", err)
	}
}

// advance counts one up in the state of prod/orders, as often as it takes to win the race.
func advance(ctx context.Context, p *Publisher, id string) error {
	for {
		s, revision, err := p.State(ctx, "prod", "orders", "")
		if err != nil {
			return err
		}
		n := 0
		if s.Ready != nil {
			n, _ = strconv.Atoi(s.Ready.Version)
		}
		at(strconv.Itoa(n + 1))(&s)
		if _, err = p.PublishState(ctx, s, revision, id); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// Two publishers count to 200 together: no step is lost and none is taken twice.
func TestTwoPublishersLoseNothing(t *testing.T) {
	s := run(t)
	var all sync.WaitGroup
	for who := range 2 {
		p := publisher(t, dial(t, s))
		all.Go(func() {
			for i := range 100 {
				if err := advance(bounded(t), p, fmt.Sprintf("%d-%d", who, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	p := publisher(t, dial(t, s))
	got, revision, err := p.State(bounded(t), "prod", "orders", "")
	if err != nil || got.Ready.Version != "200" || revision != 200 {
		t.Errorf("got version %+v at revision %d, %v", got.Ready, revision, err)
	}
}

func TestPublishersGoThroughRestarts(t *testing.T) {
	t.Parallel()
	s := run(t)
	p := publisher(t, dial(t, s))
	const facts = 60
	published := make(chan int)
	go func() {
		defer close(published)
		for i := range facts {
			e := events.Event{ID: fmt.Sprint("event-", i), Environment: "prod", Database: "orders", Predicate: events.Succeeded, Time: time.Now()}
			if err := p.PublishEvent(bounded(t), e); err != nil {
				t.Errorf("event %d: %v", i, err)
			}
			if err := advance(bounded(t), p, fmt.Sprint("state-", i)); err != nil {
				t.Errorf("state %d: %v", i, err)
			}
			published <- i
		}
	}()
	for i := range published {
		if i%20 == 10 {
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := stateOf(t, p, events.EventStream).Msgs; got != facts {
		t.Errorf("%d events left %d messages", facts, got)
	}
	got, revision, err := p.State(bounded(t), "prod", "orders", "")
	if err != nil || got.Ready.Version != fmt.Sprint(facts) || revision != facts {
		t.Errorf("got %+v at revision %d, %v", got.Ready, revision, err)
	}
}

func TestAnEventIsPublishedOnce(t *testing.T) {
	s := run(t)
	e := events.Event{Environment: "prod", Database: "orders", Predicate: events.Failed, Time: time.Now(), Attempt: &events.Attempt{Run: "1"}}
	other := e
	other.Attempt = &events.Attempt{Run: "2"}
	var all sync.WaitGroup
	for range 8 {
		p := publisher(t, dial(t, s))
		all.Go(func() {
			for _, e := range []events.Event{e, other, e} {
				if err := p.PublishEvent(bounded(t), e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := stateOf(t, publisher(t, dial(t, s)), events.EventStream).Msgs; got != 2 {
		t.Errorf("two facts left %d messages", got)
	}
}

// A controller that was away for longer than the duplicate window tells the last fact again.
func TestAnEventIsPublishedOnceBeyondTheWindow(t *testing.T) {
	s := runBare(t, natstest.Options{})
	p := publisher(t, dial(t, s))
	short := StreamOptions{}.Configs()[1]
	short.Duplicates = 100 * time.Millisecond // the shortest that a server accepts
	if _, err := p.js.CreateStream(bounded(t), short); err != nil {
		t.Fatal(err)
	}
	e := events.Event{Environment: "prod", Database: "orders", Predicate: events.Failed, Time: time.Now()}
	if err := p.PublishEvent(bounded(t), e); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if err := p.PublishEvent(bounded(t), e); err != nil {
		t.Fatal(err)
	}
	if got := stateOf(t, p, events.EventStream).Msgs; got != 1 {
		t.Errorf("one fact left %d messages", got)
	}
}

// Publishing never makes a stream; it goes on until its time is up, and says what is missing.
func TestPublishWithoutAStream(t *testing.T) {
	p := publisher(t, dial(t, runBare(t, natstest.Options{})))
	ctx, cancel := context.WithTimeout(bounded(t), 300*time.Millisecond)
	defer cancel()
	_, err := p.PublishState(ctx, events.State{Environment: "prod", Database: "orders"}, 0, "a")
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "schemawave streams ensure") {
		t.Errorf("state: got %v", err)
	}
	if _, err := p.js.Stream(bounded(t), events.StateStream); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the stream is there: %v", err)
	}
}
