package jetstream

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
)

// States lists the state of every database, in the order of their names. It uses a consumer, so it is for auditors and
// terminals, not for waiting.
func (s *Streams) States(ctx context.Context) ([]events.State, error) {
	ctx, release := s.guardAPI(ctx)
	defer release()
	var states []events.State
	err := s.retry(ctx, "list states", func(ctx context.Context) (err error) {
		states, err = s.states(ctx)
		return err
	})
	slices.SortFunc(states, func(a, b events.State) int { return strings.Compare(a.Name(), b.Name()) })
	return states, err
}

func (s *Streams) states(ctx context.Context) ([]events.State, error) {
	consumer, err := s.js.OrderedConsumer(ctx, events.StateStream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	})
	if err != nil {
		return nil, err
	}
	pending := consumer.CachedInfo().NumPending
	if pending == 0 {
		return nil, nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	states := make([]events.State, 0, pending)
	for pending > 0 {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		pending = meta.NumPending
		subject, err := events.ParseSubject(m.Subject())
		if err != nil {
			return nil, final{fmt.Errorf("list states: %w", err)}
		}
		state, err := stored{revision: meta.Sequence.Stream, data: m.Data()}.state(subject.Environment, subject.Database, subject.Tenant)
		if err != nil {
			return nil, final{fmt.Errorf("list states: %w", err)}
		}
		states = append(states, state)
	}
	return states, nil
}

// Follow calls fn with each event from now on, one after the other, in one environment or, for the empty one, in all. A
// message that is no event comes as an error and does not end it. It goes on through restarts of the server and returns
// ctx's error when ctx ends, or why it could not begin.
func (s *Streams) Follow(ctx context.Context, environment string, fn func(events.Event, error)) error {
	guarded, release := s.guardAPI(ctx)
	defer release()
	var following jetstream.ConsumeContext
	err := s.retry(guarded, "follow events", func(ctx context.Context) (err error) {
		following, err = s.follow(ctx, environment, fn)
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

func (s *Streams) follow(ctx context.Context, environment string, fn func(events.Event, error)) (jetstream.ConsumeContext, error) {
	stream, err := s.js.Stream(ctx, events.EventStream)
	if err != nil {
		return nil, err
	}
	// A place in the stream, not "new": a consumer that is made again after a restart must not skip what came meanwhile.
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{events.EventFilter(environment)},
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    stream.CachedInfo().State.LastSeq + 1,
	})
	if err != nil {
		return nil, err
	}
	return consumer.Consume(func(m jetstream.Msg) {
		e, err := events.ParseEvent(nats.Header(m.Headers()).Get, m.Data())
		if err != nil {
			err = fmt.Errorf("message on %s: %w", m.Subject(), err)
		}
		fn(e, err)
	})
}
