package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// Replicated streams answer duplicates and conflicts differently from a single server, elect leaders, and read from
// replicas that lag. All promises must hold there too.
func TestThreeReplicas(t *testing.T) {
	t.Parallel()
	servers, o := cluster(t, natstest.Options{}, 1)
	streams, err := NewStreams(dialURL(t, o))
	if err != nil {
		t.Fatal(err)
	}
	grownFromOne(t, o, streams)
	t.Run("one fact, one message", func(t *testing.T) { oneFactOneMessage(t, o) })
	t.Run("what is lost is stored again", func(t *testing.T) {
		lostStateIsPublishedAgain(t, publisher(t, dialURL(t, o)), publisher(t, dialURL(t, o)))
	})
	t.Run("leaders come and go", func(t *testing.T) { leadersComeAndGo(t, o, streams, servers) })
}

// cluster starts three servers, with streams of so many replicas; the options reach all of them.
func cluster(t testing.TB, options natstest.Options, replicas int) ([]*natstest.Server, Options) {
	t.Helper()
	servers, err := natstest.StartCluster(3, options)
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, s := range servers {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		urls = append(urls, s.URL())
	}
	o := Options{URL: strings.Join(urls, ",")}
	streams, err := NewStreams(dialURL(t, o))
	if err != nil {
		t.Fatal(err)
	}
	if err := streams.Ensure(bounded(t), StreamOptions{Replicas: replicas}); err != nil {
		t.Fatal(err)
	}
	return servers, o
}

// grownFromOne takes streams of one replica, and has each of the three servers hold one without losing anything.
func grownFromOne(t *testing.T, o Options, streams *Streams) {
	t.Helper()
	publish(t, publisher(t, dialURL(t, o)), "grown", "7", at("7"))
	changed, err := streams.Migrate(bounded(t), StreamOptions{Replicas: 3})
	want := []Difference{{events.StateStream, "num_replicas", "3", "1"}, {events.EventStream, "num_replicas", "3", "1"}}
	if diff := cmp.Diff(want, changed); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	for ctx := bounded(t); ; sleep(ctx, 50*time.Millisecond) {
		stream, err := streams.js.Stream(ctx, events.StateStream)
		if err != nil {
			t.Fatal(err)
		}
		current := 0
		if c := stream.CachedInfo().Cluster; c != nil {
			for _, r := range c.Replicas {
				if r.Current {
					current++
				}
			}
		}
		if current == 2 {
			break
		}
	}
	released(t, wait(t, bounded(t), NewWaiter(dialURL(t, o)), Query{Targets: []events.Target{orders("grown", "7")}}), "7")
}

func oneFactOneMessage(t *testing.T, o Options) {
	p := publisher(t, dialURL(t, o))
	state := events.State{Environment: "once", Database: "orders"}
	var publishers sync.WaitGroup
	for range 6 {
		p := publisher(t, dialURL(t, o))
		publishers.Go(func() {
			for range 3 {
				if _, err := p.PublishState(bounded(t), state, 0, "the fact"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	publishers.Wait()
	if got := stateOf(t, p, events.StateStream).LastSeq; got != 2 { // one was there
		t.Errorf("one fact left %d messages", got-1)
	}
	if _, err := p.PublishState(bounded(t), state, 0, "another"); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

func leadersComeAndGo(t *testing.T, o Options, streams *Streams, servers []*natstest.Server) {
	const facts = 12
	_, renewed := keep(t, streams, StreamOptions{Replicas: 3})
	p := publisher(t, dialURL(t, o))
	r := wait(t, bounded(t), NewWaiter(dialURL(t, Options{URL: servers[0].URL()})), Query{Targets: []events.Target{orders("prod", fmt.Sprint(facts))}})
	r.told(contains("no proven"))
	for i := range facts {
		if i%6 == 3 {
			// The others elect another meanwhile.
			if err := leaderOf(t, streams, servers).Restart(); err != nil {
				t.Fatal(err)
			}
		}
		e := events.Event{ID: fmt.Sprint("event-", i), Environment: "prod", Database: "orders", Predicate: events.Succeeded, Time: time.Now()}
		_, revision, err := p.State(bounded(t), "prod", "orders", "")
		if err == nil {
			err = p.PublishEvent(bounded(t), e, revision)
		}
		if err != nil {
			t.Errorf("event %d: %v", i, err)
		}
		if err := advance(bounded(t), p, fmt.Sprint("state-", i)); err != nil {
			t.Errorf("state %d: %v", i, err)
		}
	}
	released(t, r, fmt.Sprint(facts))
	if got := stateOf(t, p, events.EventStream).Msgs; got != facts {
		t.Errorf("%d events left %d messages", facts, got)
	}
	if len(renewed) > 0 {
		t.Error("another leader's stream is taken for another stream")
	}
}

// leaderOf finds the server that leads the state stream.
func leaderOf(t testing.TB, s *Streams, servers []*natstest.Server) *natstest.Server {
	t.Helper()
	ctx := bounded(t)
	for ctx.Err() == nil {
		var stream jetstream.Stream
		err := s.retry(ctx, "find the leader", func(once context.Context) (err error) {
			stream, err = s.js.Stream(once, events.StateStream)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, server := range servers {
			if c := stream.CachedInfo().Cluster; c != nil && c.Leader == fmt.Sprint("n", i+1) {
				return server
			}
		}
		sleep(ctx, 50*time.Millisecond)
	}
	t.Fatal("the stream has no leader")
	return nil
}
