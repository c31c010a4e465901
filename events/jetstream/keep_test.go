package jetstream

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// keep has the streams kept until the test ends.
func keep(t *testing.T, s *Streams, o StreamOptions) (reports chan error, renewed chan struct{}) {
	reports, renewed = make(chan error, 100), make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Keep(ctx, o, 20*time.Millisecond, func(err error) { reports <- err }, func() { renewed <- struct{}{} })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return reports, renewed
}

// next waits for what comes next.
func next[T any](t *testing.T, from chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("%s does not come", what)
	}
	return v
}

// A stream that is lost is made again, and who keeps them hears of it, also where somebody else has made it; not of a server's restart.
func TestLostStreamsAreMadeAgain(t *testing.T) {
	s := runBare(t, natstest.Options{})
	nc := dial(t, s)
	streams, err := NewStreams(nc)
	if err != nil {
		t.Fatal(err)
	}
	reports, renewed := keep(t, streams, StreamOptions{})
	p := publisher(t, nc)
	publish(t, p, "prod", "7", at("7")) // as soon as there is a stream
	if err := p.PublishEvent(bounded(t), events.Event{Environment: "prod", Database: "orders", Predicate: events.Failed}, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if state, _, err := p.State(bounded(t), "prod", "orders", ""); err != nil || state.Ready == nil {
		t.Fatalf("after a restart: %+v, %v", state, err)
	}
	for _, lost := range []string{events.StateStream, events.EventStream} {
		if err := p.retry(bounded(t), "delete", func(ctx context.Context) error { return p.js.DeleteStream(ctx, lost) }); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Fatal(err)
		}
		next(t, renewed, "the loss of "+lost)
	}
	if state, revision, err := p.State(bounded(t), "prod", "orders", ""); err != nil || revision != 0 {
		t.Errorf("after the loss: %+v at %d, %v", state, revision, err)
	}
	if err := p.js.DeleteStream(bounded(t), events.EventStream); err != nil {
		t.Fatal(err)
	}
	ensure(t, dial(t, s)) // perhaps before it is noticed
	next(t, renewed, "another's stream")
	if len(renewed)+len(reports) > 0 {
		t.Errorf("%d losses too many, and %d reports", len(renewed), len(reports))
	}
}

// Who may not make streams says so once, is content with those that others make, and says that too.
func TestAKeeperThatMayNotMakeStreams(t *testing.T) {
	looks := Permissions{Subscribe: []string{"_INBOX_l.>"}}
	for _, name := range []string{events.StateStream, events.EventStream} {
		looks.Publish = append(looks.Publish, "$JS.API.STREAM.INFO."+name)
	}
	s := runBare(t, withUsers(t,
		user{User: "admin", Password: "a", Permissions: granted(AdministratorPermissions("_INBOX_a"))},
		user{User: "looker", Password: "l", Permissions: granted(looks)},
	))
	streams, err := NewStreams(as(t, s, "looker"))
	if err != nil {
		t.Fatal(err)
	}
	reports, renewed := keep(t, streams, StreamOptions{})
	refused(t, next(t, reports, "the refusal"), "publish to", "$JS.API.STREAM.CREATE.SCHEMA_STATE")
	ensure(t, as(t, s, "admin"))
	for {
		err := next(t, reports, "the end of it")
		if err == nil {
			break
		}
		refused(t, err, "publish to", "$JS.API.STREAM.CREATE.SCHEMA_EVENTS") // the other was there a moment earlier
	}
	if len(renewed) > 0 {
		t.Error("streams that were made are taken for lost ones")
	}
}

// An account without JetStream is told of, although a server that is just starting answers the same, and looked at again.
func TestAKeeperWithoutJetStream(t *testing.T) {
	t.Parallel()
	account := map[string]any{"users": []user{{User: "looker", Password: "l"}}}
	settings := map[string]any{"accounts": map[string]any{"A": account}}
	o := config(t, settings)
	s := runBare(t, o)
	streams, err := NewStreams(as(t, s, "looker"))
	if err != nil {
		t.Fatal(err)
	}
	reports, _ := keep(t, streams, StreamOptions{})
	var api *jetstream.APIError
	if err := next(t, reports, "that JetStream is not enabled"); !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeJetStreamNotEnabledForAccount {
		t.Errorf("got %v", err)
	}
	account["jetstream"] = "enabled"
	if err := os.Rename(config(t, settings).Config, o.Config); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	for next(t, reports, "that the streams are there") != nil {
	}
}
