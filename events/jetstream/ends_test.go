package jetstream

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/events"
)

// step is the run with this number of prod/orders, and moves the state on to it.
func step(t *testing.T, p *Publisher, run int, expected uint64) (e events.Event, state uint64) {
	t.Helper()
	e = events.Event{Environment: "prod", Database: "orders", Predicate: events.Succeeded, Time: time.Now(), Attempt: &events.Attempt{Run: fmt.Sprint(run)}}
	e.ID = events.EventID(e)
	s := events.State{Environment: "prod", Database: "orders"}
	at(fmt.Sprint(run))(&s)
	state, err := p.PublishState(bounded(t), s, expected, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	return e, state
}

// runs lists the runs that events tell of, in their order.
func runs(t *testing.T, p *Publisher) (list []string) {
	t.Helper()
	all, err := ensure(t, p.nc).Events(bounded(t), "", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		list = append(list, e.Attempt.Run)
	}
	return list
}

// Who publishes alone looks neither at the last event nor at the state before each event.
func TestWhoPublishesAloneLooksOnce(t *testing.T) {
	p := publisher(t, dial(t, run(t)))
	state, sent := uint64(0), []uint64{}
	for i := range 3 {
		var e events.Event
		e, state = step(t, p, i, state)
		before := p.nc.Stats().OutMsgs
		if err := p.PublishEvent(bounded(t), e, state); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, p.nc.Stats().OutMsgs-before)
	}
	// First the last event, the state, and the event itself; then one request for each event that could be this one, because it is as new, and itself.
	if diff := cmp.Diff([]uint64{3, 2, 3}, sent); diff != "" {
		t.Errorf("requests for each event: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"0", "1", "2"}, runs(t, p)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// What another publisher does meanwhile is seen by one that remembers how the events ended.
func TestWhoRemembersIsNotAlone(t *testing.T) {
	for _, c := range []struct {
		reason  string
		other   func(t *testing.T, p *Publisher, e events.Event, state uint64)
		refused bool
		want    []string
	}{
		{"it has told the event", func(t *testing.T, p *Publisher, e events.Event, state uint64) {
			if err := p.PublishEvent(bounded(t), e, state); err != nil {
				t.Fatal(err)
			}
		}, false, []string{"0", "1"}},
		{"it has told it, and another one", func(t *testing.T, p *Publisher, e events.Event, state uint64) {
			began := e
			began.ID, began.Predicate, began.Attempt = "", events.Started, &events.Attempt{Run: "2"}
			for _, e := range []events.Event{e, began} {
				if err := p.PublishEvent(bounded(t), e, state); err != nil {
					t.Fatal(err)
				}
			}
		}, false, []string{"0", "1", "2"}},
		{"it has told another one", func(t *testing.T, p *Publisher, e events.Event, state uint64) {
			e.ID, e.Predicate, e.Attempt = "", events.Started, &events.Attempt{Run: "2"}
			if err := p.PublishEvent(bounded(t), e, state); err != nil {
				t.Fatal(err)
			}
		}, false, []string{"0", "2", "1"}},
		{"it has told of another state", func(t *testing.T, p *Publisher, _ events.Event, state uint64) {
			e, state := step(t, p, 2, state)
			if err := p.PublishEvent(bounded(t), e, state); err != nil {
				t.Fatal(err)
			}
		}, true, []string{"0", "2"}},
	} {
		s := run(t)
		p, other := publisher(t, dial(t, s)), publisher(t, dial(t, s))
		e, state := step(t, p, 0, 0)
		if err := p.PublishEvent(bounded(t), e, state); err != nil {
			t.Fatal(err)
		}
		e, state = step(t, p, 1, state)
		c.other(t, other, e, state)
		if _, known := p.ends.before(events.DatabaseEventFilter("prod", "orders"), state); !known {
			t.Errorf("%s: nothing is remembered", c.reason)
		}
		if err := p.PublishEvent(bounded(t), e, state); errors.Is(err, ErrConflict) != c.refused || err != nil && !c.refused {
			t.Errorf("%s: %v", c.reason, err)
		}
		if diff := cmp.Diff(c.want, runs(t, p)); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.reason, diff)
		}
	}
}

// What was told while a state was on its way to the stream was not known when that was stored.
func TestAnEventThatCameMeanwhileIsNotRemembered(t *testing.T) {
	e := ends{of: map[string]end{}}
	e.moved("orders", e.last("orders"), 7)
	if _, known := e.before("orders", 7); known {
		t.Error("an event is known where none was")
	}
	e.told("orders", "a", 1)
	last := e.last("orders")
	e.told("orders", "b", 2)
	e.moved("orders", last, 8)
	if _, known := e.before("orders", 8); known {
		t.Error("b is said to be known before the state was stored")
	}
	e.moved("orders", e.last("orders"), 9)
	if got, known := e.before("orders", 9); !known || got.id != "b" || got.revision != 2 {
		t.Errorf("%+v, %t", got, known)
	}
	if _, known := e.before("orders", 8); known {
		t.Error("another state is taken for the last")
	}
	e.forget("orders")
	if _, known := e.before("orders", 9); known {
		t.Error("it is not forgotten")
	}
}
