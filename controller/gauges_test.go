package controller

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/migrations"
)

// scrape is the value of a database's gauge as Prometheus would read it, with the values of further labels; NaN if it is not there.
func scrape(t *testing.T, r *replica, name string, of target, more ...string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(r.rec.metrics.gauges); err != nil {
		t.Fatal(err)
	}
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := append([]string{of.Environment, of.Database}, more...)
	for _, family := range all {
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue())
			}
			slices.Sort(labels)
			slices.Sort(want)
			if family.GetName() == name && slices.Equal(labels, want) {
				return m.Gauge.GetValue()
			}
		}
	}
	return math.NaN()
}

// TestPending: a migration is pending from the moment that Argo CD has found its commit until the schema is ready, whatever delays it.
func TestPending(t *testing.T) {
	for _, c := range []struct {
		reason string
		app    application
		state  events.State
		want   bool
	}{
		{"nothing is ready", due("1"), events.State{}, true},
		{"a newer one waits to be synced", due("2"), published("1"), true},
		{"it has failed", due("2"), published("1", lastFailed("2", "x", 12)), true},
		{"its marker is applied after it has succeeded", due("2"), published("2"), false},
		{"a rollback puts an older marker back", due("1"), published("2"), false},
		{"a sync left it out", passedOver("2"), published("1", inTheWay(events.Skipped, "2", 12)), true},
		{"all is applied", word("1", "Succeeded", reached), published("1"), false},
		{"another database's", due("2", func(a *application) { a.Wanted[0].Name.Database = "audit" }), published("1"), false},
		{"which environment it is for is not known", due("2", guessed), events.State{}, false},
	} {
		o := observation{Target: target{"production", "orders"}, Applications: []application{c.app}}
		if got := o.pending(c.state); got != c.want {
			t.Errorf("%s: %v, want %v", c.reason, got, c.want)
		}
	}
}

// TestLockWait: the newest run counts, and one that did not wait is not one of which nothing is known.
func TestLockWait(t *testing.T) {
	waited := func(seconds float64) func(*job) { return reports(func(r *migrations.Report) { r.LockWait = seconds }) }
	for _, c := range []struct {
		reason string
		jobs   []job
		want   time.Duration
	}{
		{"no run", nil, -1},
		{"no report", []job{madeJob("1", 1, complete)}, -1},
		{"one that waited", []job{madeJob("1", 1, complete, waited(2.5))}, 2500 * time.Millisecond},
		{"the newest", []job{madeJob("2", 5, complete, waited(0)), madeJob("1", 1, complete, waited(2.5))}, 0},
	} {
		if got := (observation{Jobs: c.jobs}).waited(); got != c.want {
			t.Errorf("%s: %v, want %v", c.reason, got, c.want)
		}
	}
}

// TestGaugesForget: a database that no Application and no Job speaks of any more is not shown for ever.
func TestGaugesForget(t *testing.T) {
	o, of := modes["applications"], target{"c2", "orders"}
	r := newReplica(t, newShelf(t, o), o, newBroker(t))
	for _, d := range recording(t, "c2-skip-autosync-paused") {
		r.deliver(d)
		r.work()
	}
	if got := scrape(t, r, "schemawave_migration_pending", of); got != 1 {
		t.Errorf("pending is %v while a skipped migration is to be run", got)
	}
	for _, obj := range r.shelf.stores["Application"].List() {
		r.deliver(delivery{object: obj.(client.Object), deleted: true})
	}
	r.queue.Add(of)
	r.work()
	if got := scrape(t, r, "schemawave_migration_pending", of); !math.IsNaN(got) {
		t.Errorf("pending is %v although nothing is there", got)
	}
}
