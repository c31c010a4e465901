package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

func stateOf(t testing.TB, p *Publisher, stream string) jetstream.StreamState {
	t.Helper()
	var s jetstream.Stream
	err := p.retry(bounded(t), "look at stream "+stream, func(ctx context.Context) (err error) {
		s, err = p.js.Stream(ctx, stream)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State
}

func TestAPublishedStateIsReadBack(t *testing.T) {
	nc := dial(t, run(t))
	p := publisher(t, nc)
	empty, revision, err := p.State(bounded(t), "prod", "orders", "acme")
	if want := (events.State{Environment: "prod", Database: "orders", Tenant: "acme"}); err != nil || revision != 0 || empty != want {
		t.Errorf("before: %+v, %d, %v", empty, revision, err)
	}
	want := empty
	at("7")(&want)
	want.Ready.Since = time.Date(2026, 11, 22, 9, 31, 4, 0, time.UTC)
	stored, err := p.PublishState(bounded(t), want, 0, "id-7")
	if err != nil {
		t.Fatal(err)
	}
	got, revision, err := p.State(bounded(t), "prod", "orders", "acme")
	if diff := cmp.Diff(want, got); err != nil || revision != stored || diff != "" {
		t.Errorf("revision %d, want %d; %v; -want +got:\n%s", revision, stored, err, diff)
	}
	raw, err := nc.Request("$JS.API.DIRECT.GET.SCHEMA_STATE.schema.state.v1.prod.orders.acme", nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range want.Headers("id-7") {
		if got := raw.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if got := raw.Header.Get(nats.MsgIdHdr); got != "id-7" {
		t.Errorf("the message id is %q", got)
	}
}

func TestAStateIsPublishedOnce(t *testing.T) {
	s := run(t)
	state := events.State{Environment: "prod", Database: "orders"}
	at("7")(&state)
	var all sync.WaitGroup
	for range 8 {
		p := publisher(t, dial(t, s))
		all.Go(func() {
			for range 3 {
				if revision, err := p.PublishState(bounded(t), state, 0, "the fact"); err != nil || revision != 1 {
					t.Errorf("got %d, %v", revision, err)
				}
			}
		})
	}
	all.Wait()
	p := publisher(t, dial(t, s))
	if got := stateOf(t, p, events.StateStream).LastSeq; got != 1 {
		t.Errorf("one fact left %d messages", got)
	}
	if _, err := p.PublishState(bounded(t), state, 1, ""); err == nil {
		t.Error("a state without an id was accepted")
	}
}

func TestAnotherStateIsAConflict(t *testing.T) {
	p := publisher(t, dial(t, run(t)))
	state := events.State{Environment: "prod", Database: "orders"}
	first, err := p.PublishState(bounded(t), state, 0, "a")
	if err != nil {
		t.Fatal(err)
	}
	for name, expected := range map[string]uint64{"taken": 0, "from the future": first + 7} {
		if _, err := p.PublishState(bounded(t), state, expected, "b"); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := p.PublishState(bounded(t), events.State{Environment: "prod", Database: "none"}, 4, "c"); !errors.Is(err, ErrConflict) {
		t.Errorf("a place that was never taken: got %v", err)
	}
}

// Two publishers tell one change with different words: the later one learns that its own are not there, and may then replace the other's.
func TestOneChangeInOtherWordsIsAConflict(t *testing.T) {
	s := run(t)
	p, other := publisher(t, dial(t, s)), publisher(t, dial(t, s))
	state := events.State{Environment: "prod", Database: "orders"}
	at("7")(&state)
	first, err := p.PublishState(bounded(t), state, 0, "the change")
	if err != nil {
		t.Fatal(err)
	}
	at("7.1")(&state)
	if _, err := other.PublishState(bounded(t), state, 0, "the change"); !errors.Is(err, ErrConflict) {
		t.Errorf("at the same place: %v", err)
	}
	second, err := other.PublishState(bounded(t), state, first, "the change")
	if err != nil || second <= first {
		t.Errorf("in its place: %d, %v", second, err)
	}
	if got, revision, err := p.State(bounded(t), "prod", "orders", ""); err != nil || revision != second || got.Ready.Version != "7.1" {
		t.Errorf("the state is %+v at %d, %v", got.Ready, revision, err)
	}
}

// A server remembers the id of a message for the duplicate window, also of one that is no longer there: a state is stored again all the
// same, once, whoever of two stores it and however often.
func TestALostStateIsPublishedAgain(t *testing.T) {
	s := run(t)
	lostStateIsPublishedAgain(t, publisher(t, dial(t, s)), publisher(t, dial(t, s)))
}

func lostStateIsPublishedAgain(t *testing.T, p, other *Publisher) {
	t.Helper()
	subject := events.StateSubject("lost", "orders", "")
	never := func() error { return nil }
	purged := func() error {
		stream, err := p.js.Stream(bounded(t), events.StateStream)
		if err == nil {
			err = stream.Purge(bounded(t), jetstream.WithPurgeSubject(subject))
		}
		return err
	}
	overwritten := func() error {
		_, err := p.js.Publish(bounded(t), subject, []byte("no state"))
		return err
	}
	for i, lost := range []func() error{never, purged, overwritten, overwritten, purged, purged} {
		if err := lost(); err != nil {
			t.Fatal(err)
		}
		want := stateOf(t, p, events.StateStream).LastSeq + 1
		state, expected, err := p.State(bounded(t), "lost", "orders", "")
		if err != nil || state.Ready != nil {
			t.Fatalf("%d: before: %+v, %v", i, state, err)
		}
		at("7")(&state)
		for _, who := range []*Publisher{p, other, p} {
			if revision, err := who.PublishState(bounded(t), state, expected, "the fact"); err != nil || revision != want {
				t.Errorf("%d: stored as %d, %v, want %d", i, revision, err, want)
			}
		}
		if got, revision, err := p.State(bounded(t), "lost", "orders", ""); err != nil || got.Ready == nil || revision != want {
			t.Errorf("%d: the state is %+v at %d, %v", i, got, revision, err)
		}
		if _, err := other.PublishState(bounded(t), state, expected, "another fact"); !errors.Is(err, ErrConflict) {
			t.Errorf("%d: another fact in its place: %v", i, err)
		}
	}
}

// advance counts one up in the state of prod/orders, as often as it takes to win the race.
func advance(ctx context.Context, p *Publisher, id string) error {
	for {
		s, revision, err := p.State(ctx, "prod", "orders", "")
		if err != nil {
			return err
		}
		n := 0
		if s.Ready != nil {
			n, _ = strconv.Atoi(s.Ready.Version)
		}
		at(strconv.Itoa(n + 1))(&s)
		if _, err = p.PublishState(ctx, s, revision, id); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// Two publishers count to 200 together: no step is lost and none is taken twice.
func TestTwoPublishersLoseNothing(t *testing.T) {
	s := run(t)
	var all sync.WaitGroup
	for who := range 2 {
		p := publisher(t, dial(t, s))
		all.Go(func() {
			for i := range 100 {
				if err := advance(bounded(t), p, fmt.Sprintf("%d-%d", who, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	p := publisher(t, dial(t, s))
	got, revision, err := p.State(bounded(t), "prod", "orders", "")
	if err != nil || got.Ready.Version != "200" || revision != 200 {
		t.Errorf("got version %+v at revision %d, %v", got.Ready, revision, err)
	}
}

func TestPublishersGoThroughRestarts(t *testing.T) {
	t.Parallel()
	s := run(t)
	p := publisher(t, dial(t, s))
	const facts = 60
	published := make(chan int)
	go func() {
		defer close(published)
		for i := range facts {
			e := events.Event{ID: fmt.Sprint("event-", i), Environment: "prod", Database: "orders", Predicate: events.Succeeded, Time: time.Now()}
			if err := p.PublishEvent(bounded(t), e, uint64(i)); err != nil {
				t.Errorf("event %d: %v", i, err)
			}
			if err := advance(bounded(t), p, fmt.Sprint("state-", i)); err != nil {
				t.Errorf("state %d: %v", i, err)
			}
			published <- i
		}
	}()
	for i := range published {
		if i%20 == 10 {
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := stateOf(t, p, events.EventStream).Msgs; got != facts {
		t.Errorf("%d events left %d messages", facts, got)
	}
	got, revision, err := p.State(bounded(t), "prod", "orders", "")
	if err != nil || got.Ready.Version != fmt.Sprint(facts) || revision != facts {
		t.Errorf("got %+v at revision %d, %v", got.Ready, revision, err)
	}
}

func TestAnEventIsPublishedOnce(t *testing.T) {
	s := run(t)
	e := events.Event{Environment: "prod", Database: "orders", Predicate: events.Failed, Time: time.Now(), Attempt: &events.Attempt{Run: "1"}}
	other := e
	other.Attempt = &events.Attempt{Run: "2"}
	var all sync.WaitGroup
	for range 8 {
		p := publisher(t, dial(t, s))
		all.Go(func() {
			for _, e := range []events.Event{e, other, e} {
				if err := p.PublishEvent(bounded(t), e, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := stateOf(t, publisher(t, dial(t, s)), events.EventStream).Msgs; got != 2 {
		t.Errorf("two facts left %d messages", got)
	}
}

// An attempt that its Job was told to have begun is told to have begun by Argo CD, now that its cluster cannot be read, and something else
// has been told meanwhile.
func TestABeginIsPublishedOnceByEitherEvidence(t *testing.T) {
	p, began := publisher(t, dial(t, run(t))), time.Now().Add(-time.Hour)
	begin := func(a events.Attempt) events.Event {
		a.Application, a.Digest, a.Sync = "argocd/orders", "sha256:01234567", began
		return events.Event{Environment: "prod", Database: "orders", Predicate: events.Started, Time: a.Started, Attempt: &a}
	}
	job := begin(events.Attempt{Run: "uid", Evidence: events.EvidenceJob, Started: time.Now()})
	other := events.Event{Environment: "prod", Database: "orders", Predicate: events.Succeeded, Time: time.Now(), Attempt: &events.Attempt{Run: "before"}}
	sync := begin(events.Attempt{Run: "argocd/orders@then", Evidence: events.EvidenceApplication, Started: began})
	for _, e := range []events.Event{job, other, sync} {
		if err := p.PublishEvent(bounded(t), e, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := stateOf(t, p, events.EventStream).Msgs; got != 2 {
		t.Errorf("two facts left %d messages", got)
	}
}

// A Job was told to be gone by who saw it; Argo CD, which goes on waiting for it, is all that the next one sees.
func TestABeginIsNotPublishedAfterItsJobIsGone(t *testing.T) {
	s, began := run(t), time.Now().Add(-time.Hour)
	p := publisher(t, dial(t, s))
	of := func(p events.Predicate, run string) events.Event {
		return events.Event{Environment: "prod", Database: "orders", Predicate: p, Time: began, Attempt: &events.Attempt{
			Application: "argocd/orders", Digest: "sha256:01234567", Evidence: events.EvidenceApplication, Run: run, Started: began,
		}}
	}
	for _, e := range []events.Event{of(events.Deleted, "this"), of(events.Started, "this"), of(events.Started, "the next")} {
		if err := p.PublishEvent(bounded(t), e, 0); err != nil {
			t.Fatal(err)
		}
	}
	list, err := ensure(t, dial(t, s)).Events(bounded(t), "", began.Add(-time.Hour))
	if err != nil || len(list) != 2 || list[1].Attempt.Run != "the next" {
		t.Errorf("%+v, %v", list, err)
	}
}

// shortWindow makes the streams, that of events with the shortest duplicate window that a server accepts.
func shortWindow(t *testing.T, p *Publisher) (pass func()) {
	t.Helper()
	configs := StreamOptions{}.Configs()
	configs[1].Duplicates = 100 * time.Millisecond
	for _, c := range configs {
		if _, err := p.js.CreateStream(bounded(t), c); err != nil {
			t.Fatal(err)
		}
	}
	return func() { time.Sleep(3 * configs[1].Duplicates) }
}

// A controller that was away for longer than the duplicate window tells again what its predecessor told, and others have told since.
func TestAnEventIsPublishedOnceBeyondTheWindow(t *testing.T) {
	p := publisher(t, dial(t, runBare(t, natstest.Options{})))
	pass := shortWindow(t, p)
	var all []events.Event
	for i := range 5 {
		all = append(all, events.Event{
			Environment: "prod", Database: "orders", Predicate: events.Failed, Time: time.Now(), Attempt: &events.Attempt{Run: fmt.Sprint(i)},
		})
	}
	all[4].Predicate = events.Succeeded
	tell := func(e events.Event) {
		t.Helper()
		if err := p.PublishEvent(bounded(t), e, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range all {
		tell(e)
		pass()
		tell(e)
	}
	for _, e := range all {
		tell(e)
	}
	if got := stateOf(t, p, events.EventStream).Msgs; got != uint64(len(all)) {
		t.Errorf("%d facts left %d messages", len(all), got)
	}
}

// Nobody has written down since when a migration is stuck: a controller that has just started dates it later than its predecessor did.
func TestAnObstacleIsPublishedOnceHoweverItIsDated(t *testing.T) {
	p := publisher(t, dial(t, runBare(t, natstest.Options{})))
	pass := shortWindow(t, p)
	for i, e := range []events.Event{
		{Predicate: events.Stuck, Time: time.Now()},
		{Predicate: events.Blocked, Time: time.Now()},
		{Predicate: events.Stuck, Time: time.Now().Add(2 * skew)},
	} {
		e.Environment, e.Database, e.Attempt = "prod", "orders", &events.Attempt{Run: "sync"}
		if err := p.PublishEvent(bounded(t), e, 0); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		pass()
	}
	if got := stateOf(t, p, events.EventStream).Msgs; got != 2 {
		t.Errorf("two facts left %d messages", got)
	}
}

// What is older than the stream keeps is not told again by each controller that finds it in the state.
func TestAnEventThatHasLeftTheStreamIsNotToldAgain(t *testing.T) {
	p := publisher(t, dial(t, run(t)))
	e := events.Event{Environment: "prod", Database: "orders", Predicate: events.Failed, Time: time.Now().Add(-EventAge - time.Hour)}
	if err := p.PublishEvent(bounded(t), e, 0); err != nil {
		t.Fatal(err)
	}
	if got := stateOf(t, p, events.EventStream).Msgs; got != 0 {
		t.Errorf("%d messages", got)
	}
}

// An event of a state that is no longer the last comes too late to be told in order.
func TestAnEventOfAnotherStateIsAConflict(t *testing.T) {
	p := publisher(t, dial(t, run(t)))
	e := events.Event{Environment: "prod", Database: "orders", Predicate: events.Started, Time: time.Now(), Attempt: &events.Attempt{Run: "1"}}
	publish(t, p, "prod", "a", at("1"))
	if err := p.PublishEvent(bounded(t), e, 0); !errors.Is(err, ErrConflict) {
		t.Errorf("of no state: %v", err)
	}
	if err := p.PublishEvent(bounded(t), e, 1); err != nil {
		t.Fatal(err)
	}
	publish(t, p, "prod", "b", at("2"))
	if err := p.PublishEvent(bounded(t), e, 1); err != nil {
		t.Errorf("one that is there already: %v", err)
	}
	if got := stateOf(t, p, events.EventStream).Msgs; got != 1 {
		t.Errorf("%d messages", got)
	}
}

// Whoever has looked before another event of the database was told has to look again.
func TestAnEventFollowsTheLastThatWasSeen(t *testing.T) {
	p := publisher(t, dial(t, run(t)))
	e := events.Event{ID: "began", Environment: "prod", Database: "orders", Predicate: events.Started, Time: time.Now()}
	over := e
	over.ID, over.Predicate = "over", events.Succeeded
	for _, id := range []string{"over", "over again"} { // the first of all, and another
		over.ID = id
		last, err := lastGet(bounded(t), p.nc, events.EventStream, events.DatabaseEventFilter("prod", "orders"))
		if err != nil && !errors.Is(err, errNoMessage) {
			t.Fatal(err)
		}
		if err := p.PublishEvent(bounded(t), over, 0); err != nil {
			t.Fatal(err)
		}
		var api *jetstream.APIError
		if err := p.append(bounded(t), e, last); !errors.As(err, &api) || !ambiguous(err) {
			t.Errorf("after %q: %v", last.id, err)
		}
	}
}

// Two publishers who both take themselves for the leader tell of a begin and of an end: the begin never comes last.
func TestEventsOfTwoPublishersAreInOrder(t *testing.T) {
	s := run(t)
	late, first := publisher(t, dial(t, s)), publisher(t, dial(t, s))
	var both sync.WaitGroup
	for i := range 100 {
		fact := func(p events.Predicate) events.Event {
			return events.Event{Environment: "prod", Database: "orders", Predicate: p, Time: time.Now(), Attempt: &events.Attempt{Run: fmt.Sprint(i)}}
		}
		revision := uint64(i)
		both.Go(func() {
			time.Sleep(time.Duration(i%10) * 100 * time.Microsecond)
			if err := late.PublishEvent(bounded(t), fact(events.Started), revision); err != nil && !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		})
		both.Go(func() {
			var state events.State
			state.Environment, state.Database = "prod", "orders"
			next, err := first.PublishState(bounded(t), state, revision, fmt.Sprint(i))
			if err == nil {
				err = first.PublishEvent(bounded(t), fact(events.Succeeded), next)
			}
			if err != nil {
				t.Error(err)
			}
		})
		both.Wait()
	}
	list, err := ensure(t, dial(t, s)).Events(bounded(t), "", time.Time{}.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	over := map[string]bool{}
	for _, e := range list {
		if e.Predicate == events.Started && over[e.Attempt.Run] {
			t.Errorf("run %s starts after it has succeeded", e.Attempt.Run)
		}
		over[e.Attempt.Run] = over[e.Attempt.Run] || e.Predicate == events.Succeeded
	}
	if len(over) != 100 {
		t.Errorf("%d runs have succeeded", len(over))
	}
}

// Publishing never makes a stream; it goes on until its time is up, and says what is missing.
func TestPublishWithoutAStream(t *testing.T) {
	p := publisher(t, dial(t, runBare(t, natstest.Options{})))
	ctx, cancel := context.WithTimeout(bounded(t), 300*time.Millisecond)
	defer cancel()
	_, err := p.PublishState(ctx, events.State{Environment: "prod", Database: "orders"}, 0, "a")
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "schemawave streams ensure") {
		t.Errorf("state: got %v", err)
	}
	if _, err := p.js.Stream(bounded(t), events.StateStream); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the stream is there: %v", err)
	}
}
