package controller_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// nats is a real server with the two streams, as the controller finds it.
type nats struct {
	t      testing.TB
	server *natstest.Server
	conn   *natsgo.Conn
}

func newNATS(t testing.TB) *nats {
	t.Helper()
	return startNATS(t, natstest.Options{})
}

func startNATS(t testing.TB, o natstest.Options) *nats {
	t.Helper()
	server, err := natstest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &nats{t: t, server: server}
	n.conn = n.connect()
	streams, err := jetstream.NewStreams(n.conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := streams.Ensure(t.Context(), jetstream.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *nats) connect() *natsgo.Conn {
	n.t.Helper()
	conn, err := jetstream.Connect(n.t.Context(), jetstream.Options{URL: n.server.URL(), Name: n.t.Name(), Retry: true})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(conn.Close)
	return conn
}

func (n *nats) publisher() *jetstream.Publisher {
	n.t.Helper()
	p, err := jetstream.NewPublisher(n.connect())
	if err != nil {
		n.t.Fatal(err)
	}
	return p
}

// state reads what is published of a database.
func (n *nats) state(environment string) events.State {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	p, err := jetstream.NewPublisher(n.conn)
	if err != nil {
		n.t.Fatal(err)
	}
	s, _, err := p.State(ctx, environment, "orders", "")
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// history reads the whole event stream, "predicate@version" each.
func (n *nats) history() []string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	j, err := js.New(n.conn)
	if err != nil {
		n.t.Fatal(err)
	}
	stream, err := j.Stream(ctx, events.EventStream)
	if err != nil {
		n.t.Fatal(err)
	}
	var lines []string
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(ctx, seq)
		if err != nil {
			n.t.Fatal(err)
		}
		e, err := events.ParseEvent(func(name string) string { return m.Header.Get(name) }, m.Data)
		if err != nil {
			n.t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s@%s", e.Predicate, e.Attempt.Version))
	}
	return lines
}

// expect waits until the event stream holds exactly these events, and a moment longer for one too many.
func (n *nats) expect(want ...string) {
	n.t.Helper()
	within(n.t, "events", func() error {
		if got := n.history(); !slices.Equal(got, want) {
			return fmt.Errorf("%q, want %q", got, want)
		}
		return nil
	})
	time.Sleep(200 * time.Millisecond)
	if got := n.history(); !slices.Equal(got, want) {
		n.t.Fatalf("events %q, want %q", got, want)
	}
}

// replica is a running controller.
type replica struct {
	*controller.Controller
	stop func()
}

// start runs a controller on the test's namespaces; change may alter its options.
func start(c *cluster, n *nats, name string, change func(*controller.Options)) *replica {
	c.t.Helper()
	o := controller.Options{
		Config: c.config, Publisher: n.publisher(), ApplicationNamespaces: []string{c.apps}, JobNamespaces: []string{c.home},
		Metrics: prometheus.NewRegistry(), Log: logs(c.t, name), PublishTimeout: 2 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	ctl, err := controller.New(o)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := background(c.t)
	done := make(chan error, 1)
	go func() { done <- ctl.Run(ctx) }()
	stopped := false
	r := &replica{Controller: ctl, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("run %s: %v", name, err)
		}
	}}
	c.t.Cleanup(r.stop)
	return r
}
