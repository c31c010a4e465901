package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/schemawave/schemawave/events"
)

// simStream is a stream of JetStream: the expected last sequence of a subject or of a filter, and the window within which an id is a duplicate.
// A replicated stream (R3) looks for duplicates first, a single server checks the sequence first.
type simStream struct {
	replicated bool
	messages   []simMessage
}

type simMessage struct {
	subject, id string
	at          time.Time
	state       []byte
	event       events.Event
	by          *simTerm
	pass        int
}

const simWindow = 30 * time.Minute

var errSequence = errors.New("wrong last sequence")

// last is the newest message on a subject or, if that ends in a star, on any in its place.
func (s *simStream) last(subject string) (simMessage, uint64) {
	prefix, any := strings.CutSuffix(subject, "*")
	for i := len(s.messages) - 1; i >= 0; i-- {
		if m := s.messages[i]; m.subject == subject || any && strings.HasPrefix(m.subject, prefix) {
			return m, uint64(i + 1)
		}
	}
	return simMessage{}, 0
}

// store returns the sequence of the message, or of the one that was there before with its id.
func (s *simStream) store(m simMessage, filter string, expected uint64) (n uint64, before bool, err error) {
	duplicate := func() (uint64, bool) {
		for i, old := range s.messages {
			if old.id == m.id && m.at.Sub(old.at) < simWindow {
				return uint64(i + 1), true
			}
		}
		return 0, false
	}
	if s.replicated {
		if n, ok := duplicate(); ok {
			return n, true, nil
		}
	}
	if _, n := s.last(filter); n != expected {
		return 0, false, errSequence
	}
	if n, ok := duplicate(); ok {
		return n, true, nil
	}
	s.messages = append(s.messages, m)
	return uint64(len(s.messages)), false, nil
}

// simBroker is both streams, and what may go wrong on the way there and back.
type simBroker struct {
	states, events simStream
	now            func() time.Time
	lost           func() bool // a request or its answer
	meanwhile      func()      // what happens before a request arrives
	stored         func(simMessage)
}

// simPublisher publishes for one process as events/jetstream does, but that it gives up where that one tries again: a state without an
// answer, with a conflict, or with an id that was there before, is settled by the last message on its subject.
type simPublisher struct {
	*simBroker
	term *simTerm
	ends map[string]simEnd // by the filter of a database's events
}

// simEnd is the last event of a database that was told by a process, and the state that it has stored since.
type simEnd struct {
	id           string
	event, state uint64
}

func (p simPublisher) request() error {
	p.meanwhile()
	if p.term.over || p.lost() {
		return errLost
	}
	return nil
}

func (p simPublisher) State(_ context.Context, environment, database, _ string) (events.State, uint64, error) {
	if err := p.request(); err != nil {
		return events.State{}, 0, err
	}
	last, revision := p.states.last(events.StateSubject(environment, database, ""))
	state := events.State{Environment: environment, Database: database}
	if revision == 0 {
		return state, 0, nil
	}
	err := json.Unmarshal(last.state, &state)
	return state, revision, err
}

func (p simPublisher) PublishState(_ context.Context, s events.State, expected uint64, id string) (uint64, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	m := simMessage{subject: events.StateSubject(s.Environment, s.Database, ""), id: id, state: data}
	all := events.DatabaseEventFilter(s.Environment, s.Database)
	for {
		told := p.ends[all].event
		n, before, err := p.publish(&p.states, m, m.subject, expected)
		if err == nil && !before {
			if end := p.ends[all]; told > 0 && end.event == told {
				end.state = n
				p.ends[all] = end
			}
			return n, nil
		}
		if p.lost() {
			return 0, errLost // neither can it be settled
		}
		last, at := p.states.last(m.subject)
		switch {
		case (last.id == id || strings.HasPrefix(last.id, id+"@")) && bytes.Equal(last.state, data):
			return at, nil
		case at != expected || !before:
			return 0, errSequence
		}
		m.id = fmt.Sprintf("%s@%d", id, n)
	}
}

// PublishEvent looks whether the event is there, then at the state, and then has it follow the event that was the last before. It knows that
// one, and the state, if it has told and stored them itself.
func (p simPublisher) PublishEvent(_ context.Context, e events.Event, state uint64) error {
	all := events.DatabaseEventFilter(e.Environment, e.Database)
	end := p.ends[all]
	expected, known := end.event, state > 0 && end.state == state && e.Predicate != events.Started && e.ID != end.id
	if err := p.request(); err != nil {
		return err
	}
	if !known {
		_, expected = p.events.last(all)
	}
	since := e.Time.Add(-10 * time.Minute)
	if e.Predicate.Obstructs() {
		since = time.Time{}
	}
	latest, _ := p.events.last(all)
	begun, at := p.events.last(events.EventSubject(e.Environment, e.Database, e.Predicate))
	if e.Precedes(latest.id) || e.Repeats(begun.event, at == expected) || slices.ContainsFunc(p.events.messages, func(m simMessage) bool { return m.id == e.ID && m.at.After(since) }) {
		return nil
	}
	if !known {
		if err := p.request(); err != nil {
			return err
		}
		if _, n := p.states.last(events.StateSubject(e.Environment, e.Database, "")); n != state {
			return errSequence
		}
	}
	m := simMessage{subject: events.EventSubject(e.Environment, e.Database, e.Predicate), id: e.ID, event: e}
	n, before, err := p.publish(&p.events, m, all, expected)
	if err != nil || before {
		delete(p.ends, all)
		return err
	}
	p.ends[all] = simEnd{id: e.ID, event: n}
	return nil
}

// publish stores a message if that with the expected sequence is the last one that the filter matches.
func (p simPublisher) publish(s *simStream, m simMessage, filter string, expected uint64) (n uint64, before bool, err error) {
	if err := p.request(); err != nil {
		return 0, false, err
	}
	m.at, m.by, m.pass = p.now(), p.term, p.term.passes
	n, before, err = s.store(m, filter, expected)
	if err == nil && !before {
		p.stored(m)
	}
	if p.lost() {
		return 0, false, errLost
	}
	return n, before, err
}
