package jetstream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

func TestMain(m *testing.M) {
	natstest.Serve()
	m.Run()
}

// waitFor waits on a connection of its own until prod/orders is at version 7, and calls saw from its own goroutine with
// each older version that it finds. It leaves the connection open.
type waitFor func(ctx context.Context, nc *nats.Conn, saw func(version string)) error

// crowd is many waiters, each with a connection of its own.
type crowd struct {
	t     testing.TB
	size  int
	conns []*nats.Conn

	ended sync.WaitGroup
	at    []time.Time // when each wait ended
	errs  []error     // and how

	mu   sync.Mutex
	seen map[string]int // how many have seen each version
	news chan struct{}
}

// gather lets size waiters connect, a hundred at a time, and wait.
func gather(t testing.TB, size int, o Options, wait waitFor) *crowd {
	c := &crowd{
		t: t, size: size, conns: make([]*nats.Conn, size), at: make([]time.Time, size), errs: make([]error, size),
		seen: make(map[string]int), news: make(chan struct{}, 1),
	}
	ctx := bounded(t)
	doors := make(chan struct{}, 100)
	for i := range size {
		c.ended.Go(func() {
			doors <- struct{}{}
			c.conns[i], c.errs[i] = Connect(ctx, o)
			<-doors
			if c.errs[i] == nil {
				c.errs[i] = wait(ctx, c.conns[i], c.eyes())
			}
			c.at[i] = time.Now()
		})
	}
	return c
}

// eyes are one waiter's: a version that it sees twice counts once.
func (c *crowd) eyes() func(version string) {
	var seen []string
	return func(version string) {
		if slices.Contains(seen, version) {
			return
		}
		seen = append(seen, version)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen[version]++
		select {
		case c.news <- struct{}{}:
		default:
		}
	}
}

// allSee blocks until every waiter has seen a version.
func (c *crowd) allSee(version string) {
	c.t.Helper()
	limit := time.After(patience)
	for {
		c.mu.Lock()
		n := c.seen[version]
		c.mu.Unlock()
		if n == c.size {
			return
		}
		select {
		case <-c.news:
		case <-limit:
			c.t.Fatalf("%d of %d waiters have seen version %s", n, c.size, version)
		}
	}
}

// release is how a crowd was released.
type release struct {
	after       []time.Duration // from a moment to the end of each wait that was released, the shortest first
	lost, early int             // waits that ended with an error, or before the version was published
}

// releasedSince waits for all and counts from a moment; published is when the version began to be published.
func (c *crowd) releasedSince(moment, published time.Time) (r release) {
	c.ended.Wait()
	for i, err := range c.errs {
		switch {
		case err != nil:
			c.t.Logf("waiter %d: %v", i, err)
			r.lost++
		case c.at[i].Before(published):
			r.early++
		default:
			r.after = append(r.after, c.at[i].Sub(moment))
		}
	}
	slices.Sort(r.after)
	return r
}

func (c *crowd) whole(r release) {
	c.t.Helper()
	if r.lost != 0 || r.early != 0 || len(r.after) != c.size {
		c.t.Errorf("of %d waiters %d were released, %d early, and %d lost", c.size, len(r.after), r.early, r.lost)
	}
}

func (c *crowd) leave() {
	c.ended.Wait()
	for _, nc := range c.conns {
		if nc != nil {
			nc.Close()
		}
	}
}

// withWaiter waits as a service does.
func withWaiter(ctx context.Context, nc *nats.Conn, saw func(version string)) error {
	_, err := NewWaiter(nc).Wait(ctx, Query{Targets: []events.Target{orders("prod", "7")}, Progress: func(m string) {
		if _, rest, ok := strings.Cut(m, "prod/orders is at "); ok {
			version, _, _ := strings.Cut(rest, ",")
			saw(version)
		}
	}})
	return err
}

// alone starts a server in a process of its own, with the state at version 5.
func alone(t testing.TB) *natstest.Server {
	t.Helper()
	s := runBare(t, natstest.Options{Process: true})
	nc := dial(t, s)
	ensure(t, nc)
	publish(t, publisher(t, nc), "prod", "5", at("5"))
	return s
}

// publishThrough publishes a version by a connection that is made for it, and returns when that began.
func publishThrough(t testing.TB, o Options, version string) time.Time {
	t.Helper()
	nc := dialURL(t, o)
	defer nc.Close()
	p := publisher(t, nc)
	began := time.Now()
	publish(t, p, "prod", version, at(version))
	return began
}

// The server is killed while a thousand wait, each on a connection of its own, and the version is published as soon as it
// is back, when most of them are not.
func TestACrowdOutlivesTheServer(t *testing.T) {
	t.Parallel()
	s := alone(t)
	c := gather(t, 1000, Options{URL: s.URL()}, withWaiter)
	defer c.leave()
	outlive(t, s, c)
}

// outlive kills the server and returns how the crowd was released, counted from the moment when the server was back.
func outlive(t testing.TB, s *natstest.Server, c *crowd) release {
	t.Helper()
	o := Options{URL: s.URL(), Name: fmt.Sprint("publisher of ", t.Name())}
	c.allSee("5")
	publishThrough(t, o, "6")
	c.allSee("6")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	published := publishThrough(t, o, "7")
	r := c.releasedSince(back, published)
	c.whole(r)
	return r
}

// Of three nodes the one that leads the stream is killed, with a third of the waiters on it.
func TestACrowdOutlivesANode(t *testing.T) {
	t.Parallel()
	nodes, o := cluster(t, natstest.Options{Process: true}, 3)
	c := gather(t, 600, o, withWaiter)
	defer c.leave()
	outliveNode(t, nodes, o, c)
}

// outliveNode kills a node and returns how the crowd was released, counted from the moment when it was gone.
func outliveNode(t testing.TB, nodes []*natstest.Server, o Options, c *crowd) release {
	t.Helper()
	publishThrough(t, o, "5")
	c.allSee("5")
	publishThrough(t, o, "6")
	c.allSee("6")
	streams, err := NewStreams(dialURL(t, o))
	if err != nil {
		t.Fatal(err)
	}
	leader := leaderOf(t, streams, nodes)
	on := 0
	for _, nc := range c.conns {
		if nc.ConnectedUrl() == leader.URL() {
			on++
		}
	}
	if on < c.size/6 {
		t.Errorf("%d of %d waiters are on the node that is killed", on, c.size)
	}
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	published := publishThrough(t, o, "7")
	r := c.releasedSince(gone, published)
	c.whole(r)
	return r
}
