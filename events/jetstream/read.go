package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
)

// States lists the state of every database of one environment or, for the empty one, of all, in the order of their names.
// Messages that are no states are left out, and make up an error beside the others. It uses a consumer, so it is for auditors
// and terminals, not for waiting.
func (s *Streams) States(ctx context.Context, environment string) ([]events.State, error) {
	ctx, release := s.guardAPI(ctx)
	defer release()
	var states []events.State
	var odd []error
	err := s.repeat(ctx, "list states", func(ctx context.Context) error {
		states, odd = nil, nil
		return s.each(ctx, events.StateStream, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{events.StateFilter(environment)}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
		}, func(m jetstream.Msg, revision uint64) {
			subject, err := events.ParseSubject(m.Subject())
			var state events.State
			if err == nil {
				state, err = stored{revision: revision, data: m.Data()}.state(subject.Environment, subject.Database, subject.Tenant)
			}
			if err != nil {
				odd = append(odd, err)
				return
			}
			states = append(states, state)
		})
	})
	slices.SortFunc(states, func(a, b events.State) int { return strings.Compare(a.Name(), b.Name()) })
	return states, errors.Join(append(odd, err)...)
}

// Events lists the events since a time, oldest first, in one environment or, for the empty one, in all. The stream keeps
// them for EventAge. Messages that are no events are left out, and make up an error beside the others. Like States, it is
// for auditors and terminals.
func (s *Streams) Events(ctx context.Context, environment string, since time.Time) ([]events.Event, error) {
	ctx, release := s.guardAPI(ctx)
	defer release()
	var list []events.Event
	var odd []error
	err := s.repeat(ctx, "list events", func(ctx context.Context) error {
		list, odd = nil, nil
		return s.each(ctx, events.EventStream, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{events.EventFilter(environment)},
			DeliverPolicy:  jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
		}, func(m jetstream.Msg, _ uint64) {
			if e, err := event(m); err != nil {
				odd = append(odd, err)
			} else {
				list = append(list, e)
			}
		})
	})
	return list, errors.Join(append(odd, err)...)
}

// each calls fn with every message that a consumer of that kind finds in the stream now. None of them may take longer than an attempt: how
// long all of them take is for ctx to bound.
func (s *Streams) each(ctx context.Context, stream string, config jetstream.OrderedConsumerConfig, fn func(m jetstream.Msg, revision uint64)) error {
	creating, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	consumer, err := s.js.OrderedConsumer(creating, stream, config)
	if err != nil {
		return err
	}
	pending := consumer.CachedInfo().NumPending
	if pending == 0 {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for pending > 0 {
		m, err := nextMessage(ctx, messages)
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		pending = meta.NumPending
		fn(m, meta.Sequence.Stream)
	}
	return nil
}

// nextMessage returns the next message, unless it takes longer than an attempt.
func nextMessage(ctx context.Context, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return messages.Next(jetstream.NextContext(ctx))
}

func event(m jetstream.Msg) (events.Event, error) {
	e, err := events.ParseEvent(nats.Header(m.Headers()).Get, m.Data())
	if err != nil {
		return e, fmt.Errorf("message on %s: %w", m.Subject(), err)
	}
	return e, nil
}

// Follow calls fn with each event since a time, one after the other, in one environment or, for the empty one, in all. A
// message that is no event comes as an error and does not end it. It goes on through restarts of the server and returns ctx's
// error when ctx ends, or why it could not begin.
func (s *Streams) Follow(ctx context.Context, environment string, since time.Time, fn func(events.Event, error)) error {
	guarded, release := s.guardAPI(ctx)
	defer release()
	var following jetstream.ConsumeContext
	err := s.retry(guarded, "follow events", func(ctx context.Context) error {
		consumer, err := s.js.OrderedConsumer(ctx, events.EventStream, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{events.EventFilter(environment)},
			DeliverPolicy:  jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
		})
		if err != nil {
			return err
		}
		following, err = consumer.Consume(func(m jetstream.Msg) { fn(event(m)) })
		return err
	})
	if err != nil {
		return err
	}
	defer following.Stop()
	select {
	case <-guarded.Done():
		return cause(guarded)
	case <-following.Closed():
		return s.closed("follow events")
	}
}
