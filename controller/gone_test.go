package controller_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/argoproj/gitops-engine/pkg/sync/common"
	js "github.com/nats-io/nats.go/jetstream"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/migrations"
)

// purge takes the states of an environment out of their stream.
func (n *nats) purge(environment string) {
	n.t.Helper()
	j, err := js.New(n.conn)
	if err != nil {
		n.t.Fatal(err)
	}
	stream, err := j.Stream(n.t.Context(), events.StateStream)
	if err == nil {
		err = stream.Purge(n.t.Context(), js.WithPurgeSubject(events.StateFilter(environment)))
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// TestAnEnvironmentIsGone and comes back under its name, with a database that is made anew. Its state goes with a purge, for good once its
// Application and Job are gone; who waits for the same version then waits for the new database's migration.
func TestAnEnvironmentIsGone(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	start(c, n, "one", nil)
	a := c.application("orders", overlay)
	one := c.release(1, env)
	c.migrate(a, one, migrations.OutcomeSucceeded, "1")
	n.expect("started@1", "succeeded@1")

	n.purge(env)
	within(t, "the state of an Application that is still there", func() error {
		c.look(a)
		if s := n.state(env); s.Ready == nil {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})

	if err := c.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: c.home, Name: one.job.Name}}
	if err := c.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	within(t, "a purge that lasts", func() error {
		n.purge(env)
		time.Sleep(time.Second)
		if s := n.state(env); s.Ready != nil {
			return errors.New("the state is back")
		}
		return nil
	})

	waits, waited := make(chan string, 10), make(chan error, 1)
	go func() {
		_, err := jetstream.NewWaiter(n.connect()).Wait(t.Context(), jetstream.Query{
			Targets:  []events.Target{{Environment: env, Database: "orders", Version: "1"}},
			Progress: func(m string) { waits <- m },
		})
		waited <- err
	}()
	select {
	case <-waits:
	case err := <-waited:
		t.Fatalf("nobody waits: %v", err)
	}
	a = c.application("orders", overlay)
	c.sync(a, one)
	pod := c.apply(a, one)
	c.hook(a, one, common.OperationRunning, "job.batch/"+one.job.Name+" created")
	n.expect("started@1", "succeeded@1", "started@1")
	if len(waited) > 0 {
		t.Fatalf("released before the migration has run: %v", <-waited)
	}
	c.exit(pod, migrations.ExitDone, one.report(env, migrations.OutcomeSucceeded, "1"))
	c.finished(one)
	c.hook(a, one, common.OperationSucceeded, "Reached expected number of succeeded pods")
	c.end(a, common.OperationSucceeded)
	select {
	case err := <-waited:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("nobody is released")
	}
}
