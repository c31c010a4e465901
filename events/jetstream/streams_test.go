package jetstream

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

func TestEnsureByManyAtOnce(t *testing.T) {
	s := runBare(t, natstest.Options{})
	var all sync.WaitGroup
	for range 8 {
		streams, err := NewStreams(dial(t, s))
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if err := streams.Ensure(bounded(t), StreamOptions{Replicas: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// What the streams promise, asked of the server and not of our own configuration.
func TestTheStreamsKeepTheirPromises(t *testing.T) {
	s := run(t)
	streams := ensure(t, dial(t, s))
	ctx := bounded(t)
	p := publisher(t, dial(t, s))
	publish(t, p, "prod", "6", at("6"))
	publish(t, p, "prod", "7", at("7"))
	state, err := streams.js.Stream(ctx, events.StateStream)
	if err != nil {
		t.Fatal(err)
	}
	if info := state.CachedInfo(); info.State.Msgs != 1 || info.State.LastSeq != 2 {
		t.Errorf("two states of one database leave %d messages, last %d", info.State.Msgs, info.State.LastSeq)
	}
	if err := state.DeleteMsg(ctx, 2); err == nil {
		t.Error("a state can be deleted")
	}
	if err := state.Purge(ctx, jetstream.WithPurgeSubject(events.StateSubject("prod", "orders", ""))); err != nil {
		t.Errorf("a database that is gone cannot be removed: %v", err)
	}
	event, err := streams.js.Stream(ctx, events.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := event.Purge(ctx); err == nil {
		t.Error("the events can be purged")
	}
	if c := event.CachedInfo().Config; c.MaxAge != 90*24*time.Hour || c.Duplicates != 30*time.Minute {
		t.Errorf("events live %v, duplicates are known for %v", c.MaxAge, c.Duplicates)
	}
}

func TestVerifyReportsAndChangesNothing(t *testing.T) {
	s := runBare(t, natstest.Options{})
	streams, err := NewStreams(dial(t, s))
	if err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	got, err := streams.Verify(ctx, StreamOptions{})
	want := []Difference{
		{events.StateStream, "stream", "present", "absent"},
		{events.EventStream, "stream", "present", "absent"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("without streams: %v (-want +got):\n%s", err, diff)
	}
	other := jetstream.StreamConfig{
		Name: events.StateStream, Subjects: []string{events.AllStates}, Storage: jetstream.MemoryStorage,
		MaxAge: time.Hour, MaxMsgsPerSubject: 5, MaxBytes: 1 << 20, Compression: jetstream.S2Compression, Description: "ours",
	}
	if _, err := streams.js.CreateStream(ctx, other); err != nil {
		t.Fatal(err)
	}
	want = []Difference{
		{events.StateStream, "storage", "File", "Memory"},
		{events.StateStream, "max_age", "0s", "1h0m0s"},
		{events.StateStream, "max_bytes", "unlimited", "1048576"},
		{events.StateStream, "max_msgs_per_subject", "1", "5"},
		{events.StateStream, "duplicate_window", "30m0s", "2m0s"},
		{events.StateStream, "allow_direct", "true", "false"},
		{events.StateStream, "deny_delete", "true", "false"},
		{events.StateStream, "republish", "schema.state.v1.> to schema.live.v1.>", "off"},
	}
	err = streams.Ensure(ctx, StreamOptions{})
	var different *DifferenceError
	if !errors.As(err, &different) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(want, different.Differences); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !strings.Contains(err.Error(), "stream SCHEMA_STATE: max_age is 1h0m0s, want 0s; ") {
		t.Errorf("the error says %q", err)
	}
	again, err := streams.Verify(ctx, StreamOptions{})
	if diff := cmp.Diff(want, again); err != nil || diff != "" {
		t.Errorf("Ensure has changed something: %v (-want +got):\n%s", err, diff)
	}
}

func TestEnsureIsRejected(t *testing.T) {
	streams, err := NewStreams(dial(t, runBare(t, natstest.Options{})))
	if err != nil {
		t.Fatal(err)
	}
	var wrong *ConfigError
	if err := streams.Ensure(bounded(t), StreamOptions{Replicas: 3}); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "create stream SCHEMA_STATE: ") {
		t.Errorf("three replicas on one server: got %v", err)
	}
}

func TestStatesListsAll(t *testing.T) {
	s := run(t)
	streams := ensure(t, dial(t, s))
	if states, err := streams.States(bounded(t), ""); err != nil || len(states) != 0 {
		t.Errorf("an empty stream has %v, %v", states, err)
	}
	p := publisher(t, dial(t, s))
	for _, e := range []string{"staging", "prod", "a.b"} {
		publish(t, p, e, e+"6", at("6"))
		publish(t, p, e, e+"7", at("7"))
	}
	states, err := streams.States(bounded(t), "")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range states {
		names = append(names, s.Name()+"@"+s.Ready.Version)
	}
	if diff := cmp.Diff([]string{"a.b/orders@7", "prod/orders@7", "staging/orders@7"}, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFollowGoesOnThroughARestart(t *testing.T) {
	t.Parallel()
	s := run(t)
	p := publisher(t, dial(t, s))
	streams := ensure(t, dial(t, s))
	event := func(environment, reason string) events.Event {
		return events.Event{ID: environment + reason, Environment: environment, Database: "orders", Predicate: events.Skipped, Time: time.Now().UTC(), Reason: reason}
	}
	tell := func(environment, reason string) {
		t.Helper()
		if err := p.PublishEvent(bounded(t), event(environment, reason), 0); err != nil {
			t.Fatal(err)
		}
	}
	tell("prod", "before")
	ctx, cancel := context.WithCancel(bounded(t))
	heard, done := make(chan string, 10), make(chan error, 1)
	go func() {
		done <- streams.Follow(ctx, "prod", time.Now(), func(e events.Event, err error) {
			if err != nil {
				heard <- "error"
				return
			}
			heard <- e.Environment + " " + string(e.Predicate) + " " + e.Reason + " " + e.ID
		})
	}()
	next := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		case err := <-done:
			t.Fatalf("ended with %v", err)
		case <-time.After(patience):
			t.Fatalf("did not hear %q", want)
		}
	}
	awaitConsumer(t, streams)
	tell("staging", "elsewhere")
	tell("prod", "first")
	next("prod skipped first prodfirst")
	if _, err := p.js.Publish(bounded(t), events.EventSubject("prod", "orders", "odd"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	next("error")
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	tell("prod", "second")
	next("prod skipped second prodsecond")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}

	// the same, looked at afterwards: the odd message is told and loses nothing else
	list, err := streams.Events(bounded(t), "prod", time.Now().Add(-time.Hour))
	var reasons []string
	for _, e := range list {
		reasons = append(reasons, e.Reason)
	}
	if got := strings.Join(reasons, " "); got != "before first second" || err == nil || !strings.Contains(err.Error(), ".odd") {
		t.Errorf("the events are %q, %v, want before, first and second, and an error about the odd one", got, err)
	}
	if list, err := streams.Events(bounded(t), "staging", time.Now().Add(time.Hour)); len(list) != 0 || err != nil {
		t.Errorf("the future holds %v, %v", list, err)
	}
	again, stop := context.WithCancel(bounded(t))
	defer stop()
	past := make(chan string, 10)
	if err := streams.Follow(again, "prod", time.Now().Add(-time.Hour), func(e events.Event, _ error) { past <- e.Reason; stop() }); !errors.Is(err, context.Canceled) {
		t.Errorf("following from the past ended with %v", err)
	}
	if got := <-past; got != "before" {
		t.Errorf("following from the past began with %q, want before", got)
	}
}

// awaitConsumer blocks until somebody follows the events.
func awaitConsumer(t *testing.T, s *Streams) {
	t.Helper()
	ctx := bounded(t)
	for {
		stream, err := s.js.Stream(ctx, events.EventStream)
		if err != nil {
			t.Fatal(err)
		}
		if stream.CachedInfo().State.Consumers > 0 {
			return
		}
		sleep(ctx, 5*time.Millisecond)
	}
}
