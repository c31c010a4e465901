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

// How long the event stream keeps events, and how long it recognises an id that it has seen.
const (
	EventAge        = 90 * 24 * time.Hour
	DuplicateWindow = 30 * time.Minute
)

// StreamOptions are what an installation decides about both streams.
type StreamOptions struct {
	Replicas int // copies of each stream, 1 to 5; zero means 1
}

// Streams creates, verifies and reads the two streams: the view of the administrator and of the auditor.
type Streams struct {
	*link
	js jetstream.JetStream
}

// NewStreams works on nc, which stays the caller's to close.
func NewStreams(nc *nats.Conn) (*Streams, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	return &Streams{link: listen(nc), js: js}, nil
}

// Configs are the settings of both streams.
func (o StreamOptions) Configs() []jetstream.StreamConfig {
	replicas := max(o.Replicas, 1)
	return []jetstream.StreamConfig{{
		Name:              events.StateStream,
		Description:       "schemawave: the state of every database's schema, one message each",
		Subjects:          []string{events.AllStates},
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		MaxMsgsPerSubject: 1,
		Duplicates:        DuplicateWindow,
		AllowDirect:       true, // waiters read it without a consumer
		DenyDelete:        true, // purging stays allowed: it is how a database that is gone leaves the stream
		RePublish:         &jetstream.RePublish{Source: events.AllStates, Destination: events.AllLive},
		MaxMsgs:           -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1,
	}, {
		Name:              events.EventStream,
		Description:       "schemawave: what happened to every database's schema",
		Subjects:          []string{events.AllEvents},
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		MaxAge:            EventAge,
		Duplicates:        DuplicateWindow,
		AllowDirect:       true,
		DenyDelete:        true,
		DenyPurge:         true,
		MaxMsgsPerSubject: -1,
		MaxMsgs:           -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1,
	}}
}

// Ensure creates the streams that do not exist. A stream that exists with other settings is left as it is and reported as
// a *DifferenceError. Any number of processes may call it at the same time.
func (s *Streams) Ensure(ctx context.Context, o StreamOptions) error {
	_, err := s.ensure(ctx, o)
	return err
}

// ensure also returns when each stream was created, by which it is told from another of its name; nothing if that is not known.
func (s *Streams) ensure(ctx context.Context, o StreamOptions) ([]time.Time, error) {
	ctx, release := s.guardAPI(ctx)
	defer release()
	var created []time.Time
	var differences []Difference
	for _, want := range o.Configs() {
		err := s.retry(ctx, "create stream "+want.Name, func(ctx context.Context) error {
			stream, err := s.js.Stream(ctx, want.Name)
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				stream, err = s.js.CreateStream(ctx, want)
			}
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // by now
				stream, err = s.js.Stream(ctx, want.Name)
			}
			if err == nil {
				info := stream.CachedInfo()
				created, differences = append(created, info.Created), append(differences, compare(want, info.Config)...)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(differences) > 0 {
		return created, &DifferenceError{differences}
	}
	return created, nil
}

// keepTimeout is how long Keep tries at least before it says that it cannot: an election, or a restart, is over by then.
const keepTimeout = 10 * time.Second

// Keep ensures the streams at once and then so often, until ctx ends: one that is lost is made again. It reports what keeps them from being
// as they should be, each time that this is another thing, nil included, and what keeps it from looking for as long as that is from one
// look to the next. It calls renewed whenever a stream is not the one that it
// was, whoever has made it: then nothing of what was published before is in it.
func (s *Streams) Keep(ctx context.Context, o StreamOptions, often time.Duration, report func(error), renewed func()) {
	var before []time.Time
	for said := fmt.Sprint(nil); ctx.Err() == nil; sleep(ctx, often) {
		once, cancel := context.WithTimeout(ctx, max(often, keepTimeout))
		created, err := s.ensure(once, o)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if is := fmt.Sprint(err); is != said {
			report(err)
			said = is
		}
		if created == nil {
			continue
		}
		if before != nil && !slices.EqualFunc(before, created, time.Time.Equal) {
			renewed()
		}
		before = created
	}
}

// Verify lists how the streams differ from what Ensure would create; none means that all is well.
func (s *Streams) Verify(ctx context.Context, o StreamOptions) ([]Difference, error) {
	ctx, release := s.guardAPI(ctx)
	defer release()
	var differences []Difference
	for _, want := range o.Configs() {
		err := s.retry(ctx, "verify stream "+want.Name, func(ctx context.Context) error {
			stream, err := s.js.Stream(ctx, want.Name)
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				differences = append(differences, absent(want))
				return nil
			}
			if err == nil {
				differences = append(differences, compare(want, stream.CachedInfo().Config)...)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return differences, nil
}

// guardAPI guards any use of JetStream's API, but for the deletion of a consumer: that is a courtesy of the client's, for the server
// removes it by itself.
func (s *Streams) guardAPI(ctx context.Context) (context.Context, func()) {
	return s.guard(ctx, func(denied string) bool {
		return strings.HasPrefix(denied, "$JS.API.") && !strings.HasPrefix(denied, "$JS.API.CONSUMER.DELETE.")
	})
}
