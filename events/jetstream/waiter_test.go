package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

func contains(text string) func(string) bool {
	return func(s string) bool { return strings.Contains(s, text) }
}

func released(t *testing.T, r *waiting, versions ...string) {
	t.Helper()
	states, err := r.over()
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range versions {
		if states[i].Ready == nil || states[i].Ready.Version != v {
			t.Errorf("state %d is %+v, want version %s", i, states[i], v)
		}
	}
}

func TestLateJoinerFindsTheState(t *testing.T) {
	s := run(t)
	publish(t, publisher(t, dial(t, s)), "prod", "a", at("7"))
	w := NewWaiter(dial(t, s))
	for _, required := range []string{"7", "5", ""} {
		released(t, wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", required)}}), "7")
	}
}

// A wait ends with the publish that satisfies it and with none before: not an older version, not another environment's.
func TestPublishReleasesAndNeverEarly(t *testing.T) {
	s := run(t)
	p := publisher(t, dial(t, s))
	w := NewWaiter(dial(t, s))
	w.reread = time.Hour // only live messages can release it
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("no proven migration yet"))
	publish(t, p, "staging", "s", at("9"))
	for _, v := range []string{"5", "6"} {
		publish(t, p, "prod", v, at(v))
		r.told(contains("is at " + v + ", not yet at 7"))
	}
	publish(t, p, "prod", "7", at("7"))
	released(t, r, "7")
}

func TestTenantsAreWaitedForByName(t *testing.T) {
	s := run(t)
	p := publisher(t, dial(t, s))
	w := NewWaiter(dial(t, s))
	acme := events.Target{Environment: "prod", Database: "orders", Tenant: "acme & co.", Version: "7"}
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{acme}})
	r.told(contains("no proven migration yet"))
	publish(t, p, "prod", "whole", at("7")) // the database as a whole is not the tenant
	state := events.State{Environment: "prod", Database: "orders", Tenant: "acme & co."}
	at("7")(&state)
	if _, err := p.PublishState(bounded(t), state, 0, "tenant"); err != nil {
		t.Fatal(err)
	}
	released(t, r, "7")
	if r.states[0].Tenant != "acme & co." {
		t.Errorf("released by %+v", r.states[0])
	}
}

func TestAllTargetsOrAny(t *testing.T) {
	s := run(t)
	p := publisher(t, dial(t, s))
	targets := []events.Target{orders("a", "7"), orders("b", "3"), orders("a", "5")}
	all := wait(t, bounded(t), NewWaiter(dial(t, s)), Query{Targets: targets})
	any := wait(t, bounded(t), NewWaiter(dial(t, s)), Query{Targets: targets[:2], Any: true})
	all.told(contains("a/orders has no proven"))
	any.told(contains("a/orders has no proven"))
	publish(t, p, "a", "a6", at("6"))
	all.told(contains("a/orders is at 6, not yet at 7; b/orders has no proven"))
	publish(t, p, "b", "b3", at("3"))
	released(t, any, "6", "3")
	publish(t, p, "a", "a7", at("7"))
	released(t, all, "7", "3", "7")
}

func TestFailureEndsTheWaitWithItsReason(t *testing.T) {
	s := run(t)
	p := publisher(t, dial(t, s))
	publish(t, p, "prod", "6", at("6"))
	r := wait(t, bounded(t), NewWaiter(dial(t, s)), Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("is at 6"))
	publish(t, p, "prod", "7", failedAt("7", true))
	states, err := r.over()
	var ended *WaitError
	if !errors.As(err, &ended) || ended.Answer() != events.AttemptFailed || ended.Failure().SQLState != "42703" || !ended.Failure().Permanent {
		t.Fatalf("got %v", err)
	}
	if want := "7_x.sql:3: column does not exist (SQLSTATE 42703)"; !strings.Contains(err.Error(), want) {
		t.Errorf("%q lacks %q", err, want)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is taken for a timeout", err)
	}
	if states[0].Ready.Version != "6" {
		t.Errorf("the last good state is lost: %+v", states[0])
	}
}

func TestFailureOfOneOfAnyLeavesTheOthers(t *testing.T) {
	s := run(t)
	p := publisher(t, dial(t, s))
	publish(t, p, "a", "a", failedAt("7", true))
	r := wait(t, bounded(t), NewWaiter(dial(t, s)), Query{Any: true, Targets: []events.Target{orders("a", "7"), orders("b", "7")}})
	r.told(contains("b/orders has no proven"))
	publish(t, p, "b", "b", failedAt("7", true))
	_, err := r.over()
	var ended *WaitError
	if !errors.As(err, &ended) || len(ended.Unmet) != 2 {
		t.Errorf("got %v, want both targets failed", err)
	}
}

func TestKeepGoingWaitsForAnotherAttempt(t *testing.T) {
	s := run(t)
	p := publisher(t, dial(t, s))
	publish(t, p, "prod", "first", failedAt("7", false))
	r := wait(t, bounded(t), NewWaiter(dial(t, s)), Query{Targets: []events.Target{orders("prod", "7")}, OnFailure: KeepGoing})
	r.told(contains("the last attempt at 7 failed and may be retried"))
	publish(t, p, "prod", "second", failedAt("7", true))
	r.told(contains("failed for good"))
	publish(t, p, "prod", "third", at("7"))
	released(t, r, "7")
}

func TestIncompatibleEndsTheWaitInEveryMode(t *testing.T) {
	s := run(t)
	p := publisher(t, dial(t, s))
	r := wait(t, bounded(t), NewWaiter(dial(t, s)), Query{Targets: []events.Target{orders("prod", "7")}, OnFailure: KeepGoing})
	r.told(contains("no proven"))
	publish(t, p, "prod", "9", func(s *events.State) { at("9")(s); s.Ready.MinCompatible = "8" })
	_, err := r.over()
	var ended *WaitError
	if !errors.As(err, &ended) || ended.Answer() != events.Incompatible || !strings.Contains(err.Error(), "serves readers of 8 or newer") {
		t.Errorf("got %v", err)
	}
}

func TestTimeoutSaysWhatIsNotReady(t *testing.T) {
	s := run(t)
	publish(t, publisher(t, dial(t, s)), "prod", "6", at("6"))
	ctx, cancel := context.WithCancel(bounded(t))
	r := wait(t, ctx, NewWaiter(dial(t, s)), Query{Targets: []events.Target{orders("prod", "7"), orders("prod", "5")}})
	r.told(contains("is at 6"))
	cancel()
	states, err := r.over()
	var ended *WaitError
	if !errors.As(err, &ended) || ended.Answer() != events.NotYet || !errors.Is(err, context.Canceled) || len(ended.Unmet) != 1 {
		t.Fatalf("got %v", err)
	}
	if want := "wait for prod/orders@7: prod/orders is at 6, not yet at 7: context canceled"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if states[0].Ready.Version != "6" || ended.Unmet[0].State.Ready.Version != "6" {
		t.Errorf("the last known state is lost: %+v", states)
	}
}

func TestNothingToWaitFor(t *testing.T) {
	var wrong *ConfigError
	if _, err := NewWaiter(dial(t, run(t))).Wait(bounded(t), Query{}); !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
}

func TestServerRestartsDuringAWait(t *testing.T) {
	t.Parallel()
	s := run(t)
	publish(t, publisher(t, dial(t, s)), "prod", "6", at("6"))
	w := NewWaiter(dial(t, s))
	w.reread = time.Hour
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("is at 6"))
	s.Stop()
	r.told(contains("is not connected"))
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	// Most likely published before the waiter is back, so that only its own look can find it.
	publish(t, publisher(t, dial(t, s)), "prod", "7", at("7"))
	released(t, r, "7")
}

// Without republishing, every change is silent: the timer must find it.
func TestSilenceIsNotTrusted(t *testing.T) {
	s := runBare(t, natstest.Options{})
	streams, err := NewStreams(dial(t, s))
	if err != nil {
		t.Fatal(err)
	}
	mute := StreamOptions{}.Configs()[0]
	mute.RePublish = nil
	if _, err := streams.js.CreateStream(bounded(t), mute); err != nil {
		t.Fatal(err)
	}
	w := NewWaiter(dial(t, s))
	w.reread = 20 * time.Millisecond
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("no proven"))
	publish(t, publisher(t, dial(t, s)), "prod", "7", at("7"))
	released(t, r, "7")
}

func TestStreamIsCreatedAfterTheWaitBegan(t *testing.T) {
	t.Parallel()
	s := runBare(t, natstest.Options{})
	w := NewWaiter(dial(t, s))
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("stream SCHEMA_STATE: no server answers for the stream"))
	ensure(t, dial(t, s))
	publish(t, publisher(t, dial(t, s)), "prod", "7", at("7"))
	released(t, r, "7")
}

// remake loses the streams, and makes them anew.
func remake(t *testing.T, s *Streams) {
	t.Helper()
	for _, name := range []string{events.StateStream, events.EventStream} {
		if err := s.js.DeleteStream(bounded(t), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ensure(bounded(t), StreamOptions{}); err != nil {
		t.Fatal(err)
	}
}

// The sequences of a stream that is made anew begin again. Whoever knows a higher one, or the same one, must not be deaf.
func TestStreamIsMadeAnewDuringAWait(t *testing.T) {
	t.Parallel()
	for _, known := range []int{1, 3} {
		s := run(t)
		p, streams := publisher(t, dial(t, s)), ensure(t, dial(t, s))
		for i := range known {
			publish(t, p, "prod", fmt.Sprint("first ", i), at(fmt.Sprint(7-known+i)))
		}
		w := NewWaiter(dial(t, s))
		w.reread = 20 * time.Millisecond
		waits := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
		waits.told(contains("is at 6"))
		watches := watch(t, w, orders("prod", "6"))
		watches.met("6")
		serves := NewReadiness(bounded(t), w, Query{Targets: []events.Target{orders("prod", "6")}})
		eventually(t, func() bool { return serves.Unmet() == nil })

		remake(t, streams)
		time.Sleep(5 * w.reread) // reads that find nothing
		if err := serves.Unmet(); err != nil {
			t.Errorf("what was learnt is lost with the stream: %v", err)
		}
		if _, revision, err := p.State(bounded(t), "prod", "orders", ""); err != nil || revision != 0 {
			t.Errorf("the publisher finds revision %d, %v", revision, err)
		}
		publish(t, p, "prod", "again", at("6"))
		watches.met("6")
		publish(t, p, "prod", "seven", func(s *events.State) { at("7")(s); s.Ready.MinCompatible = "7" })
		released(t, waits, "7")
		watches.unmet("update the reader")
		eventually(t, func() bool { return serves.Unmet() != nil })
		watches.silent()
	}
}

// The very next message of the new stream, with the sequence that was known, releases the wait by itself.
func TestTheFirstMessageOfANewStreamIsHeard(t *testing.T) {
	t.Parallel()
	s := run(t)
	p, streams := publisher(t, dial(t, s)), ensure(t, dial(t, s))
	publish(t, p, "prod", "6", at("6"))
	w := NewWaiter(dial(t, s))
	w.reread = time.Hour
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("is at 6"))
	remake(t, streams)
	publish(t, p, "prod", "7", at("7"))
	released(t, r, "7")
}

// A server that comes back without its disk has no stream until somebody makes one.
func TestTheStoreIsLostDuringAWait(t *testing.T) {
	t.Parallel()
	s := run(t)
	p := publisher(t, dial(t, s))
	publish(t, p, "prod", "6", at("6"))
	w := NewWaiter(dial(t, s))
	w.reread = 20 * time.Millisecond
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("is at 6"))
	if err := errors.Join(s.Wipe(), s.Restart()); err != nil {
		t.Fatal(err)
	}
	r.told(contains("no server answers for the stream"))
	ensure(t, dial(t, s))
	publish(t, p, "prod", "7", at("7"))
	released(t, r, "7")
}

// What a core publisher puts on the live subject was never stored, so it is nobody's state; what is no state is told.
func TestForgedAndBrokenMessagesReleaseNobody(t *testing.T) {
	s := run(t)
	nc := dial(t, s)
	p := publisher(t, nc)
	w := NewWaiter(dial(t, s))
	w.reread = 20 * time.Millisecond
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("no proven"))
	if err := nc.Publish(events.LiveSubject("prod", "orders", ""), []byte(`{"ready":{"version":"8"}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.js.Publish(bounded(t), events.StateSubject("prod", "orders", ""), []byte("not json")); err != nil {
		t.Fatal(err)
	}
	r.told(contains("state of prod/orders, revision 1"))
	good := events.State{Environment: "prod", Database: "orders"}
	at("7")(&good)
	if _, err := p.PublishState(bounded(t), good, 1, "7"); err != nil {
		t.Fatal(err)
	}
	released(t, r, "7")
}

func TestWaitersLeaveNothingOnTheServer(t *testing.T) {
	s := run(t)
	nc := dial(t, s)
	streams := ensure(t, dial(t, s))
	ctx, cancel := context.WithCancel(bounded(t))
	r := wait(t, ctx, NewWaiter(nc), Query{Targets: []events.Target{orders("prod", "7"), orders("staging", "7")}})
	r.told(contains("no proven"))
	for _, name := range []string{events.StateStream, events.EventStream} {
		stream, err := streams.js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if n := stream.CachedInfo().State.Consumers; n != 0 {
			t.Errorf("%s has %d consumers", name, n)
		}
	}
	if n := nc.NumSubscriptions(); n != 3 { // two live subjects, one inbox for all answers
		t.Errorf("the waiting connection has %d subscriptions, want 3", n)
	}
	cancel()
	if _, err := r.over(); err == nil {
		t.Error("ended without an error")
	}
	for ctx := bounded(t); nc.NumSubscriptions() != 1; sleep(ctx, 50*time.Millisecond) { // a moment later
		if ctx.Err() != nil {
			t.Fatalf("after the wait the connection has %d subscriptions, want 1", nc.NumSubscriptions())
		}
	}
}
