package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
)

// Publisher writes states and events. Its methods may be called at the same time. Each goes on through timeouts, reconnects
// and elections of a new leader until ctx ends, so give every call a deadline; what then remains open is an
// *UnreachableError. A refusal is a *DeniedError, at once.
type Publisher struct {
	*link
	js    jetstream.JetStream
	ends  ends
	scans scans
}

// NewPublisher publishes on nc, which stays the caller's to close.
func NewPublisher(nc *nats.Conn) (*Publisher, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("publish to jetstream: %w", err)
	}
	return &Publisher{link: listen(nc), js: js, ends: ends{of: map[string]end{}}, scans: scans{of: map[string]scan{}}}, nil
}

// attemptTimeout bounds one request. One that is lost with its connection, or that finds no leader, is soon made again.
const attemptTimeout = 2 * time.Second

// settleTimeout bounds the look at what an unanswered publish has done, which outlives the caller's context by this much.
const settleTimeout = 2 * time.Second

// State reads the state that was published last, from the stream's leader, with the revision that PublishState expects. A
// database without a state gives revision 0 and a State with names alone. A message that is no state of that database gives
// such a State, too, and its own revision: what is true can be found out again, and then takes its place.
func (p *Publisher) State(ctx context.Context, environment, database, tenant string) (events.State, uint64, error) {
	subject := events.StateSubject(environment, database, tenant)
	ctx, release := p.guardState(ctx, subject)
	defer release()
	var last stored
	err := p.retry(ctx, "read "+subject, func(ctx context.Context) (err error) {
		last, err = lastGet(ctx, p.nc, events.StateStream, subject)
		if errors.Is(err, errNoMessage) {
			err = nil
		}
		return err
	})
	if err != nil {
		return events.State{}, 0, err
	}
	state, _ := last.state(environment, database, tenant)
	return state, last.revision, nil
}

// PublishState puts s in the place of the state with the expected revision (0: of no state), under an id that names what
// changed, and returns the new revision. It may be repeated with the same id: however often and from however many
// processes, one message results. ErrConflict means that another state took the place, if only one that tells the same change otherwise.
func (p *Publisher) PublishState(ctx context.Context, s events.State, expected uint64, id string) (revision uint64, err error) {
	if id == "" {
		return 0, fmt.Errorf("publish state of %s: the id is empty: use that of the event that brought it about", s.Name())
	}
	data, err := json.Marshal(s)
	if err != nil {
		return 0, fmt.Errorf("publish state of %s: %w", s.Name(), err)
	}
	return p.store(ctx, fact{
		id: id, expected: expected, database: events.DatabaseEventFilter(s.Environment, s.Database),
		msg: message(events.StateSubject(s.Environment, s.Database, s.Tenant), s.Headers(id), data),
	})
}

// PublishEvent stores e unless it is there already, however long ago that was, or repeats the last event of its kind, or precedes the last of
// all, or is older than EventAge. It follows from the state with this revision (0: there is none); ErrConflict means that another state has taken that place, and
// e is not stored. The empty id is replaced by EventID.
//
// Events of one database come in one order, whoever publishes them: each expects to follow the last one of that database that was
// known before it was looked whether the state is the one (Nats-Expected-Last-Subject-Sequence-Subject, nats-server 2.11), as it is when it is
// stored. So nothing is told of a state after what is told of the next one, provided that all events that follow from a state are told
// before its successor is published.
func (p *Publisher) PublishEvent(ctx context.Context, e events.Event, state uint64) error {
	if e.ID == "" {
		e.ID = events.EventID(e)
	}
	subject, database := events.EventSubject(e.Environment, e.Database, e.Predicate), events.DatabaseEventFilter(e.Environment, e.Database)
	ctx, release := p.guard(ctx, func(denied string) bool {
		return denied == subject || denied == lastSubject(events.EventStream) || denied == lastSubject(events.StateStream)
	})
	defer release()
	key := events.StateSubject(e.Environment, e.Database, e.Tenant) + " " + string(e.Predicate)
	absent := p.scans.begin(key, e.ID)
	err := p.repeat(ctx, "publish to "+subject, func(ctx context.Context) (err error) {
		last, known := p.ends.before(database, state)
		// What a begin repeats depends on what was told last; and an event that is told again may have been lost with its stream.
		if known = known && e.Predicate != events.Started && e.ID != last.id; !known {
			if last, err = lastGet(ctx, p.nc, events.EventStream, database); err != nil && !errors.Is(err, errNoMessage) {
				return err
			}
		}
		if there, err := p.holds(ctx, e, last, &absent); err != nil || there {
			return err
		}
		if !known {
			if err := p.follows(ctx, e, state); err != nil {
				return err
			}
		}
		return p.append(ctx, e, last) // if that leaves it open whether e is stored, the next attempt tells
	})
	if err == nil {
		p.scans.forget(key)
	} else {
		p.scans.end(key, e.ID, absent)
	}
	return err
}

// append stores e if last is still the last event of its database.
func (p *Publisher) append(ctx context.Context, e events.Event, last stored) error {
	data, err := json.Marshal(e)
	if err != nil {
		return final{fmt.Errorf("publish event %s: %w", e.ID, err)}
	}
	m := message(events.EventSubject(e.Environment, e.Database, e.Predicate), e.Headers(), data)
	database := events.DatabaseEventFilter(e.Environment, e.Database)
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	ack, err := p.js.PublishMsg(ctx, m, jetstream.WithMsgID(e.ID), jetstream.WithRetryAttempts(0),
		jetstream.WithExpectLastSequenceForSubject(last.revision, database))
	if err != nil || ack.Duplicate {
		p.ends.forget(database)
		return err
	}
	p.ends.told(database, e.ID, ack.Sequence)
	return nil
}

// skew is how far the clock by which an event happened may be ahead of the stream's.
const skew = 10 * time.Minute

// holds reports whether e, or what it repeats, is in the stream already, whose last event of e's database is last. Up to the sequence absent
// e is not: that grows with each message that is looked at, of which there may be more than one call has the time for.
func (p *Publisher) holds(ctx context.Context, e events.Event, last stored, absent *uint64) (bool, error) {
	if last.id == e.ID || e.Precedes(last.id) || !e.Time.IsZero() && time.Since(e.Time) > EventAge {
		return true, nil // the stream no longer holds what is that old
	}
	subject := events.EventSubject(e.Environment, e.Database, e.Predicate)
	if e.Predicate == events.Started && last.revision > 0 {
		begun, err := lastGet(ctx, p.nc, events.EventStream, subject)
		if errors.Is(err, errNoMessage) || err == nil && e.Repeats(begun.event(e.Predicate), begun.revision == last.revision) {
			return err == nil, nil
		}
		if err != nil {
			return false, err
		}
	}
	since := e.Time.Add(-skew)
	if e.Predicate.Obstructs() {
		since = e.Time.Add(-EventAge) // whoever tells it may date it by when it was seen
	}
	if !last.at.IsZero() && !last.at.After(since) {
		return false, nil
	}
	if *absent > last.revision {
		*absent = 0 // the stream was made anew
	}
	for *absent < last.revision {
		next, err := nextGet(ctx, p.nc, events.EventStream, subject, since, *absent)
		switch {
		case errors.Is(err, errNoMessage):
			return false, nil
		case err != nil || next.id == e.ID:
			return err == nil, err
		}
		*absent = next.revision
	}
	return false, nil
}

// follows reports ErrConflict if the state of e's database is no longer the one from which e follows.
func (p *Publisher) follows(ctx context.Context, e events.Event, state uint64) error {
	subject := events.StateSubject(e.Environment, e.Database, e.Tenant)
	now, err := lastGet(ctx, p.nc, events.StateStream, subject)
	if err != nil && !errors.Is(err, errNoMessage) {
		return err
	}
	if now.revision != state {
		return final{fmt.Errorf("publish event %s of the state with revision %d: %w (revision %d)", e.ID, state, ErrConflict, now.revision)}
	}
	return nil
}

func message(subject string, headers map[string]string, data []byte) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	for k, v := range headers {
		m.Header[k] = []string{v}
	}
	return m
}

// fact is a state that is to be in its stream once.
type fact struct {
	id       string
	msg      *nats.Msg
	expected uint64 // the revision it replaces
	database string // the filter of its events
}

// store publishes f and, whenever the answer leaves that open, reads the last message to see whether it is f: a timeout
// may have stored it, and a conflict may be with f itself (a single server checks the expected revision before it looks
// for duplicates). A duplicate is f itself, too, or one that is no longer there, for somebody has purged it or put something else in its
// place. A server remembers that one's id for the duplicate window: then f gets another, the same whoever stores it.
func (p *Publisher) store(ctx context.Context, f fact) (revision uint64, err error) {
	ctx, release := p.guardState(ctx, f.msg.Subject)
	defer release()
	id := f.id
	err = p.retry(ctx, "publish to "+f.msg.Subject, func(ctx context.Context) error {
		last := p.ends.last(f.database)
		ack, err := p.js.PublishMsg(ctx, f.msg, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0),
			jetstream.WithExpectLastSequencePerSubject(f.expected))
		if err == nil && !ack.Duplicate {
			revision = ack.Sequence
			p.ends.moved(f.database, last, revision)
			return nil
		}
		if err == nil {
			err = fmt.Errorf("a message with the id %s was stored before, as %d", id, ack.Sequence)
			id = fmt.Sprintf("%s%s%d", f.id, again, ack.Sequence) // for the next attempt, if this is not settled
		}
		if ambiguous(err) {
			var settled bool
			if revision, settled, err = p.settle(ctx, f, err); settled {
				return err
			}
		}
		return err
	})
	return revision, err
}

// again is between the id of a fact that is stored again, and the sequence of the message that had its id before.
const again = "@"

// tells reports whether s is f, stored under whichever id. Two who see one change differently give it the same id: the message of one is
// not that of the other, who has to look at it before anything can follow from it.
func (s stored) tells(f fact) bool {
	return (s.id == f.id || strings.HasPrefix(s.id, f.id+again)) && bytes.Equal(s.data, f.msg.Data)
}

// settle looks whether f is the last message on its subject. It is not settled if the place that f expects is still free.
func (p *Publisher) settle(ctx context.Context, f fact, why error) (revision uint64, settled bool, err error) {
	var denied *DeniedError
	if errors.As(cause(ctx), &denied) {
		return 0, false, why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	last, err := lastGet(ctx, p.nc, events.StateStream, f.msg.Subject)
	switch {
	case err != nil && !errors.Is(err, errNoMessage):
		return 0, false, why
	case last.tells(f):
		return last.revision, true, nil
	case last.revision != f.expected:
		return 0, true, final{fmt.Errorf("publish to %s at revision %d: %w (revision %d)", f.msg.Subject, f.expected, ErrConflict, last.revision)}
	}
	return 0, false, why
}

// ambiguous reports whether a publish that ended with err may have stored the message, now or in an earlier attempt.
func ambiguous(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return true
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant, errCodeDuplicateInProcess:
		return true
	}
	return false
}

// errCodeDuplicateInProcess: a replicated stream is still deciding about a message with the same id.
const errCodeDuplicateInProcess jetstream.ErrorCode = 10158

// guardState guards a read or a publish of a state's subject.
func (p *Publisher) guardState(ctx context.Context, subject string) (context.Context, func()) {
	return p.guard(ctx, func(denied string) bool { return denied == subject || denied == lastSubject(events.StateStream) })
}
