package jetstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/schemawave/schemawave/events"
)

// seen is what one call of a Watch's function was told.
type seen struct {
	states []events.State
	unmet  error
}

// watching is a Watch that runs beside the test.
type watching struct {
	t    *testing.T
	seen chan seen
	done chan error
	stop context.CancelFunc
}

func watch(t *testing.T, w *Waiter, targets ...events.Target) *watching {
	ctx, stop := context.WithCancel(bounded(t))
	r := &watching{t: t, seen: make(chan seen, 100), done: make(chan error, 1), stop: stop}
	go func() {
		r.done <- w.Watch(ctx, Query{Targets: targets}, func(states []events.State, unmet error) { r.seen <- seen{states, unmet} })
	}()
	return r
}

// next is the next thing it tells.
func (r *watching) next() seen {
	r.t.Helper()
	select {
	case s := <-r.seen:
		return s
	case err := <-r.done:
		r.t.Fatal("the watch ended:", err)
	case <-time.After(patience):
		r.t.Fatal("the watch tells nothing")
	}
	panic("unreachable")
}

func (r *watching) unmet(words string) {
	r.t.Helper()
	if s := r.next(); s.unmet == nil || !strings.Contains(s.unmet.Error(), words) {
		r.t.Fatalf("unmet: %v, want %q", s.unmet, words)
	}
}

func (r *watching) met(version string) {
	r.t.Helper()
	if s := r.next(); s.unmet != nil || len(s.states) != 1 || s.states[0].Ready.Version != version {
		r.t.Fatalf("%+v, want version %s", s, version)
	}
}

// silent makes sure that nothing was told that the test did not take, and ends the watch.
func (r *watching) silent() {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		if !errors.Is(err, context.Canceled) {
			r.t.Errorf("the watch ended with %v", err)
		}
	case <-time.After(patience):
		r.t.Fatal("the watch does not end")
	}
	if len(r.seen) > 0 {
		r.t.Errorf("told also %+v", <-r.seen)
	}
}

func TestWatchTellsEveryChangeOnce(t *testing.T) {
	s := run(t)
	p, w := publisher(t, dial(t, s)), NewWaiter(dial(t, s))
	w.reread = 5 * time.Millisecond // most reads find what was known
	r := watch(t, w, orders("prod", "7"))
	r.unmet("no proven migration yet")
	publish(t, p, "prod", "failed", failedAt("7", true))
	r.unmet("failed for good")
	publish(t, p, "prod", "7", at("7"))
	r.met("7")
	publish(t, p, "prod", "8", at("8"))
	r.met("8")
	publish(t, p, "prod", "9", func(s *events.State) { at("9")(s); s.Ready.MinCompatible = "8" })
	r.unmet("update the reader")
	time.Sleep(20 * w.reread)
	r.silent()
}

// What was learnt stays while the server is away, and what changed meanwhile is told when it is back.
func TestWatchThroughARestart(t *testing.T) {
	t.Parallel()
	s := run(t)
	publish(t, publisher(t, dial(t, s)), "prod", "7", at("7"))
	w := NewWaiter(dial(t, s))
	r := watch(t, w, orders("prod", "7"))
	r.met("7")
	s.Stop()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	publish(t, publisher(t, dial(t, s)), "prod", "8", at("8"))
	r.met("8")
	r.silent()
}

func TestWatchOfNothing(t *testing.T) {
	var wrong *ConfigError
	if err := NewWaiter(dial(t, run(t))).Watch(bounded(t), Query{}, nil); !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
}

func TestADeniedWatchIsToldSo(t *testing.T) {
	s := guarded(t)
	ensure(t, as(t, s, "admin"))
	err := NewWaiter(as(t, s, "waiter")).Watch(bounded(t), Query{Targets: []events.Target{orders("staging", "7")}}, func([]events.State, error) {})
	refused(t, err, "subscribe to", "schema.live.v1.staging.orders")
}

// A watch that a refusal ends while it reads tells the refusal alone, not that its reading was cut short.
func TestADeniedWatchTellsNothingElse(t *testing.T) {
	s := guarded(t)
	ensure(t, as(t, s, "admin"))
	w := NewWaiter(as(t, s, "waiter"))
	for range 50 {
		var told []error
		var denied *DeniedError // of this watch, or late of the one before
		err := w.Watch(bounded(t), Query{Targets: []events.Target{orders("staging", "7")}}, func(_ []events.State, unmet error) { told = append(told, unmet) })
		if !errors.As(err, &denied) || len(told) > 0 {
			t.Fatalf("ended by %v, told %v", err, told)
		}
	}
}

// probe asks until the answer holds words.
func probe(t *testing.T, url string, status int, words string) {
	t.Helper()
	var got string
	for ctx := bounded(t); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		answer, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if got = string(body); err == nil && answer.StatusCode == status && strings.Contains(got, words) {
			return
		}
	}
	t.Fatalf("the probe is answered %q", got)
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	s := run(t)
	p, nc := publisher(t, dial(t, s)), dial(t, s)
	server := httptest.NewServer(NewReadiness(bounded(t), NewWaiter(nc), Query{Targets: []events.Target{orders("prod", "7")}}))
	t.Cleanup(server.Close)
	probe(t, server.URL, http.StatusServiceUnavailable, "no proven migration yet")
	publish(t, p, "prod", "7", at("7"))
	probe(t, server.URL, http.StatusOK, "ready")
	publish(t, p, "prod", "9", func(s *events.State) { at("9")(s); s.Ready.MinCompatible = "8" })
	probe(t, server.URL, http.StatusServiceUnavailable, "update the reader")
	publish(t, p, "prod", "10", at("10"))
	probe(t, server.URL, http.StatusOK, "ready")
	nc.Close() // which its Watch hears of
	for range 20 {
		probe(t, server.URL, http.StatusOK, "ready")
	}
}

func TestReadinessSaysWhyItLearnsNothing(t *testing.T) {
	s := guarded(t)
	server := httptest.NewServer(NewReadiness(bounded(t), NewWaiter(as(t, s, "waiter")), Query{Targets: []events.Target{orders("staging", "7")}}))
	t.Cleanup(server.Close)
	probe(t, server.URL, http.StatusServiceUnavailable, "grant it to this user")
}
