package controller

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/schemawave/schemawave/events"
)

// simStream is a stream of JetStream: the expected last sequence of a subject, and the window within which an id is a duplicate.
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

func (s *simStream) last(subject string) (simMessage, uint64) {
	for i := len(s.messages) - 1; i >= 0; i-- {
		if s.messages[i].subject == subject {
			return s.messages[i], uint64(i + 1)
		}
	}
	return simMessage{}, 0
}

func (s *simStream) store(m simMessage, expected *uint64) (uint64, error) {
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
			return n, nil
		}
	}
	if _, n := s.last(m.subject); expected != nil && n != *expected {
		return 0, errSequence
	}
	if n, ok := duplicate(); ok {
		return n, nil
	}
	s.messages = append(s.messages, m)
	return uint64(len(s.messages)), nil
}

// simBroker is both streams, and what may go wrong on the way there and back.
type simBroker struct {
	states, events simStream
	now            func() time.Time
	lost           func() bool // a request or its answer
	meanwhile      func()      // what happens before a request arrives
	stored         func(simMessage)
}

// simPublisher publishes for one process as events/jetstream does: a publish without an answer, or with a conflict, is settled
// by the last message on its subject.
type simPublisher struct {
	*simBroker
	term *simTerm
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
	return p.publish(&p.states, simMessage{subject: events.StateSubject(s.Environment, s.Database, ""), id: id, state: data}, &expected)
}

func (p simPublisher) PublishEvent(_ context.Context, e events.Event) error {
	m := simMessage{subject: events.EventSubject(e.Environment, e.Database, e.Predicate), id: e.ID, event: e}
	if err := p.request(); err != nil {
		return err
	}
	if last, n := p.events.last(m.subject); n > 0 && last.id == e.ID {
		return nil
	}
	_, err := p.publish(&p.events, m, nil)
	return err
}

func (p simPublisher) publish(s *simStream, m simMessage, expected *uint64) (uint64, error) {
	if err := p.request(); err != nil {
		return 0, err
	}
	m.at, m.by, m.pass = p.now(), p.term, p.term.passes
	before := len(s.messages)
	n, err := s.store(m, expected)
	if len(s.messages) > before {
		p.stored(m)
	}
	if err == nil && !p.lost() {
		return n, nil
	}
	if p.lost() {
		return 0, errLost // neither can it be settled
	}
	last, at := s.last(m.subject)
	if last.id == m.id {
		return at, nil
	}
	return 0, errSequence
}
