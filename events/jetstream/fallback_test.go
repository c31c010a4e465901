package jetstream

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// elsewhere answers in place of NATS.
type elsewhere struct {
	ready atomic.Pointer[events.Ready]
	err   error
	asked atomic.Int64
}

func (e *elsewhere) state(_ context.Context, environment, database, tenant string) (events.State, error) {
	e.asked.Add(1)
	return events.State{Environment: environment, Database: database, Tenant: tenant, Ready: e.ready.Load()}, e.err
}

func (e *elsewhere) says(version, minCompatible string) {
	e.ready.Store(&events.Ready{Version: version, MinCompatible: minCompatible, Evidence: events.EvidenceLedger})
}

// away is a Waiter whose server is not there.
func away(t *testing.T) (*natstest.Server, *Waiter) {
	s := run(t)
	s.Stop()
	return s, NewWaiter(dialURL(t, Options{URL: s.URL(), Retry: true}))
}

func TestFallbackReleasesWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	_, w := away(t)
	var e elsewhere
	e.says("6", "")
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}, Fallback: e.state})
	r.told(func(m string) bool {
		return strings.Contains(m, "is not connected") && strings.Contains(m, "prod/orders is at 6, not yet at 7")
	})
	e.says("7", "5")
	released(t, r, "7")
	if evidence := r.states[0].Ready.Evidence; evidence != events.EvidenceLedger {
		t.Errorf("the evidence is %q", evidence)
	}
}

// The rule is the same, whoever tells.
func TestFallbackKnowsReadersThatAreTooOld(t *testing.T) {
	t.Parallel()
	_, w := away(t)
	var e elsewhere
	e.says("9", "8")
	_, err := w.Wait(bounded(t), Query{Targets: []events.Target{orders("prod", "7")}, Fallback: e.state})
	if ended := (*WaitError)(nil); !errors.As(err, &ended) || ended.Answer() != events.Incompatible {
		t.Errorf("got %v", err)
	}
}

func TestNATSIsTriedBesideTheFallback(t *testing.T) {
	t.Parallel()
	s, w := away(t)
	var e elsewhere
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}, Fallback: e.state})
	r.told(contains("no proven migration yet"))
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	publish(t, publisher(t, dial(t, s)), "prod", "7", at("7"))
	released(t, r, "7")
	if evidence := r.states[0].Ready.Evidence; evidence != events.EvidenceReport {
		t.Errorf("the evidence is %q", evidence)
	}
}

func TestFallbackIsAskedForAMissingStreamToo(t *testing.T) {
	t.Parallel()
	var e elsewhere
	e.says("7", "")
	w := NewWaiter(dial(t, runBare(t, natstest.Options{})))
	released(t, wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}, Fallback: e.state}), "7")
}

// What NATS says is so, ready or not, and a denial is none of its absences.
func TestFallbackIsNotAskedWhereNATSAnswers(t *testing.T) {
	s := run(t)
	publish(t, publisher(t, dial(t, s)), "prod", "6", at("6"))
	var e elsewhere
	e.says("7", "")
	ctx, cancel := context.WithCancel(bounded(t))
	r := wait(t, ctx, NewWaiter(dial(t, s)), Query{Targets: []events.Target{orders("prod", "7"), orders("dev", "7")}, Fallback: e.state})
	r.told(contains("is at 6"))
	cancel()
	if _, err := r.over(); e.asked.Load() != 0 {
		t.Errorf("it was asked %d times; the wait ended with %v", e.asked.Load(), err)
	}
	locked := runBare(t, withUsers(t, user{User: "a", Password: "b"}))
	var all sync.WaitGroup
	for range 50 { // at once, so that some look before they are told why there is no connection
		w := NewWaiter(dialURL(t, Options{URL: locked.URL(), Retry: true}))
		all.Go(func() {
			_, err := w.Wait(bounded(t), Query{Targets: []events.Target{orders("prod", "7")}, Fallback: e.state})
			if denied := (*DeniedError)(nil); !errors.As(err, &denied) {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if n := e.asked.Load(); n != 0 {
		t.Errorf("it was asked %d times although NATS denies", n)
	}
}

// A ledger does not know what a SchemaMigration says of older readers; NATS, before it went away, did.
func TestFallbackForgetsNoMinCompatible(t *testing.T) {
	t.Parallel()
	s := run(t)
	publish(t, publisher(t, dial(t, s)), "prod", "6", func(s *events.State) { at("6")(s); s.Ready.MinCompatible = "6" })
	var e elsewhere
	e.says("7", "2")
	w := NewWaiter(dial(t, s))
	ctx, cancel := context.WithCancel(bounded(t))
	r := wait(t, ctx, w, Query{Targets: []events.Target{orders("prod", "8")}, Fallback: e.state})
	r.told(contains("is at 6"))
	s.Stop()
	r.told(contains("is at 7, not yet at 8"))
	cancel()
	if states, err := r.over(); states[0].Ready.MinCompatible != "6" {
		t.Errorf("got %+v (%v)", states[0].Ready, err)
	}
}

// The ledger of a database that a tool migrates knows no version: while NATS is away, what it has told still counts.
func TestFallbackTakesNothingFromWhatNATSHasTold(t *testing.T) {
	t.Parallel()
	s := run(t)
	publish(t, publisher(t, dial(t, s)), "prod", "7", at("7"))
	var e elsewhere
	invoices := events.Target{Environment: "prod", Database: "invoices", Version: "1"}
	var later atomic.Bool
	r := wait(t, bounded(t), NewWaiter(dial(t, s)), Query{
		Targets: []events.Target{orders("prod", "7"), invoices},
		Fallback: func(ctx context.Context, environment, database, tenant string) (events.State, error) {
			state, err := e.state(ctx, environment, database, tenant)
			if database == invoices.Database && later.Load() {
				state.Ready = &events.Ready{Version: "1", Evidence: events.EvidenceLedger}
			}
			return state, err
		},
	})
	r.told(contains("prod/invoices has no proven migration yet"))
	s.Stop()
	r.told(contains("is not connected"))
	later.Store(true)
	released(t, r, "7", "1")
}

func TestNothingIsLearntFromEither(t *testing.T) {
	t.Parallel()
	_, w := away(t)
	e := elsewhere{err: errors.New("the database is down")}
	ctx, cancel := context.WithTimeout(bounded(t), 2*time.Second)
	defer cancel()
	_, err := w.Wait(ctx, Query{Targets: []events.Target{orders("prod", "7")}, Fallback: e.state})
	if nobody := (*UnreachableError)(nil); !errors.As(err, &nobody) || !strings.Contains(err.Error(), "the database is down") {
		t.Errorf("got %v", err)
	}
}
