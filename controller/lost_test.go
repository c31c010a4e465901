package controller_test

import (
	"fmt"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"
	js "github.com/nats-io/nats.go/jetstream"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/migrations"
)

// lose deletes both streams.
func (n *nats) lose() {
	n.t.Helper()
	j, err := js.New(n.conn)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, name := range []string{events.StateStream, events.EventStream} {
		if err := j.DeleteStream(n.t.Context(), name); err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *nats) ensure() {
	n.t.Helper()
	streams, err := jetstream.NewStreams(n.conn)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := streams.Ensure(n.t.Context(), jetstream.StreamOptions{}); err != nil {
		n.t.Fatal(err)
	}
}

// TestStreamsAreLost and made anew while a controller runs: it publishes the state again, with nothing but Argo CD's next refresh to
// wake it, or at once if it is told of the loss, and tells what happens from then on. A waiter that knew the old stream hears of it.
func TestStreamsAreLost(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	r := start(c, n, "one", nil)
	a := c.application("orders", overlay)
	one, two := c.release(1, env), c.release(2, env)
	c.migrate(a, one, migrations.OutcomeSucceeded, "1")
	n.expect("started@1", "succeeded@1")
	before := n.state(env)
	waited := make(chan error, 1)
	go func() {
		_, err := jetstream.NewWaiter(n.connect()).Wait(t.Context(), jetstream.Query{Targets: []events.Target{{Environment: env, Database: "orders", Version: "2"}}})
		waited <- err
	}()
	refreshed := metav1.Now()
	refresh := func() {
		t.Helper()
		refreshed = metav1.NewTime(refreshed.Add(3 * time.Minute)) // another one, in whole seconds
		c.status(a, func(s *argo.ApplicationStatus) { s.ReconciledAt = &refreshed })
	}
	back := func(when string) {
		t.Helper()
		within(t, "the state, "+when, func() error {
			if diff := cmp.Diff(before, n.state(env)); diff != "" {
				return fmt.Errorf("-before +now:\n%s", diff)
			}
			return nil
		})
	}

	n.lose()
	n.ensure()
	refresh()
	back("woken after the loss")

	n.lose()
	refresh()
	time.Sleep(3 * time.Second) // in which its publishing fails
	n.ensure()
	back("woken during the loss")

	n.lose()
	n.ensure()
	r.TellAgain() // as who keeps the streams has it
	back("without being woken")
	n.expect("succeeded@1") // into the new stream, although the controller has told it before

	c.migrate(a, two, migrations.OutcomeSucceeded, "2")
	within(t, "the event of the new stream", func() error {
		if h := n.history(); len(h) == 0 || h[len(h)-1] != "succeeded@2" {
			return fmt.Errorf("%q", h)
		}
		return nil
	})
	select {
	case err := <-waited:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the waiter is deaf")
	}
}
