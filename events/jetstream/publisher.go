package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	js jetstream.JetStream
}

// NewPublisher publishes on nc, which stays the caller's to close.
func NewPublisher(nc *nats.Conn) (*Publisher, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("publish to jetstream: %w", err)
	}
	return &Publisher{link: listen(nc), js: js}, nil
}

// attemptTimeout bounds one request. One that is lost with its connection, or that finds no leader, is soon made again.
const attemptTimeout = 2 * time.Second

// settleTimeout bounds the look at what an unanswered publish has done, which outlives the caller's context by this much.
const settleTimeout = 2 * time.Second

// State reads the state that was published last, from the stream's leader, with the revision that PublishState expects. A
// database without a state gives revision 0 and a State with names alone.
func (p *Publisher) State(ctx context.Context, environment, database, tenant string) (events.State, uint64, error) {
	subject := events.StateSubject(environment, database, tenant)
	ctx, release := p.guardStream(ctx, events.StateStream, subject)
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
	state, err := last.state(environment, database, tenant)
	return state, last.revision, err
}

// PublishState puts s in the place of the state with the expected revision (0: of no state), under an id that names what
// changed, and returns the new revision. It may be repeated with the same id: however often and from however many
// processes, one message results. ErrConflict means that another state took the place.
func (p *Publisher) PublishState(ctx context.Context, s events.State, expected uint64, id string) (revision uint64, err error) {
	if id == "" {
		return 0, fmt.Errorf("publish state of %s: the id is empty: use that of the event that brought it about", s.Name())
	}
	data, err := json.Marshal(s)
	if err != nil {
		return 0, fmt.Errorf("publish state of %s: %w", s.Name(), err)
	}
	return p.store(ctx, fact{
		stream: events.StateStream, id: id, expected: &expected,
		msg: message(events.StateSubject(s.Environment, s.Database, s.Tenant), s.Headers(id), data),
	})
}

// PublishEvent stores e unless it is there already: within the stream's duplicate window (30 minutes) whatever came since,
// and beyond it if e is the last on its subject. The empty id is replaced by EventID.
func (p *Publisher) PublishEvent(ctx context.Context, e events.Event) error {
	if e.ID == "" {
		e.ID = events.EventID(e)
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("publish event %s: %w", e.ID, err)
	}
	subject := events.EventSubject(e.Environment, e.Database, e.Predicate)
	_, err = p.store(ctx, fact{stream: events.EventStream, id: e.ID, msg: message(subject, e.Headers(), data)})
	return err
}

func message(subject string, headers map[string]string, data []byte) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	for k, v := range headers {
		m.Header[k] = []string{v}
	}
	return m
}

// fact is a message that is to be in its stream once.
type fact struct {
	stream, id string
	msg        *nats.Msg
	expected   *uint64 // the revision it replaces; nil: it stands beside what is there
}

// store publishes f and, whenever the answer leaves that open, reads the last message to see whether it is f: a timeout
// may have stored it, and a conflict may be with f itself (a single server checks the expected revision before it looks
// for duplicates).
func (p *Publisher) store(ctx context.Context, f fact) (revision uint64, err error) {
	ctx, release := p.guardStream(ctx, f.stream, f.msg.Subject)
	defer release()
	opts := []jetstream.PublishOpt{jetstream.WithMsgID(f.id), jetstream.WithRetryAttempts(0)}
	if f.expected != nil {
		opts = append(opts, jetstream.WithExpectLastSequencePerSubject(*f.expected))
	}
	lookFirst := f.expected == nil
	err = p.retry(ctx, "publish to "+f.msg.Subject, func(ctx context.Context) error {
		if lookFirst {
			if last, err := lastGet(ctx, p.nc, f.stream, f.msg.Subject); err == nil && last.id == f.id {
				revision = last.revision
				return nil
			}
			lookFirst = false
		}
		ack, err := p.js.PublishMsg(ctx, f.msg, opts...)
		if err == nil {
			revision = ack.Sequence
			return nil
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

// settle looks whether f is the last message on its subject. It is not settled if the place that f expects is still free.
func (p *Publisher) settle(ctx context.Context, f fact, why error) (revision uint64, settled bool, err error) {
	var denied *DeniedError
	if errors.As(cause(ctx), &denied) {
		return 0, false, why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	last, err := lastGet(ctx, p.nc, f.stream, f.msg.Subject)
	switch {
	case err != nil && !errors.Is(err, errNoMessage):
		return 0, false, why
	case last.id == f.id:
		return last.revision, true, nil
	case f.expected != nil && last.revision != *f.expected:
		return 0, true, final{fmt.Errorf("publish to %s at revision %d: %w (revision %d)", f.msg.Subject, *f.expected, ErrConflict, last.revision)}
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

// guardStream guards a read or a publish of subject.
func (p *Publisher) guardStream(ctx context.Context, stream, subject string) (context.Context, func()) {
	return p.guard(ctx, func(denied string) bool { return denied == subject || denied == lastSubject(stream) })
}
