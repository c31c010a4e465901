package controller

import (
	"slices"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/events"
)

// TestNameIsTaken has two Applications call their databases the same. Only what the one does that was there first is told, until it
// carries the database no more.
func TestNameIsTaken(t *testing.T) {
	named := func(name string, a application) application {
		a.Key.Name = name
		a.Namespace, a.Readable = "shop", true
		for i := range a.Operations {
			for k := range a.Operations[i].Results {
				a.Operations[i].Results[k].Readable, a.Operations[i].Results[k].HasJob = true, true
			}
		}
		return a
	}
	carrying := func(version string, a application) application {
		m := passedOver(version).Operations[0].Markers[0]
		a.Held = []marker{m}
		return a
	}
	first, second := madeJob("2", 1, complete), madeJob("3", 11, complete)
	second.Instance, second.Key.Namespace = "others", "elsewhere"
	second.UID = "second"
	owner := named("orders", word("2", "Succeeded", reached))
	other := named("others", word("3", "Succeeded", reached))
	other.Operations[0].Results[0].Key = second.Key
	state := events.State{Environment: "production", Database: "orders"}
	judged := decide(observation{Target: orders, Jobs: []job{first}, Applications: []application{carrying("2", owner)}, State: state})
	if len(judged.Publications) != 1 {
		t.Fatalf("of the first %d facts are told, want 1", len(judged.Publications))
	}
	told := *judged.Publications[0].State

	tests := []struct {
		name  string
		owner []application
		state events.State
		jobs  []job
		ready string
		taken bool
	}{
		{"both carry it", []application{carrying("2", owner)}, told, []job{first, second}, "2", true},
		{"both come at once", []application{carrying("2", owner)}, state, []job{first, second}, "2", true},
		{"the first one has left it to the other", []application{owner}, told, []job{first, second}, "3", false},
		{"the first one is gone", nil, told, []job{second}, "3", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := observation{Target: orders, Jobs: tt.jobs, State: tt.state, Applications: append([]application{carrying("3", other)}, tt.owner...)}
			d := decide(o)
			got := tt.state
			for _, p := range d.Publications {
				if p.State != nil {
					got = *p.State
				}
			}
			if got.Ready.Version != tt.ready || got.LastAttempt.Version != tt.ready {
				t.Errorf("ready is %+v, and tried last was %+v, want version %s", got.Ready, got.LastAttempt, tt.ready)
			}
			said := slices.ContainsFunc(d.Doubts, func(s string) bool {
				return strings.Contains(s, "argocd/others has a database of this name too, which belongs to argocd/orders")
			})
			if said != tt.taken || (d.Taken != nil) != tt.taken {
				t.Errorf("it says %q, and %+v is taken; want that said: %t", d.Doubts, d.Taken, tt.taken)
			}
			if d.Taken != nil && d.Taken.Attempt.Application != "argocd/others" {
				t.Errorf("%s is refused", d.Taken.Attempt.Application)
			}
		})
	}
	t.Run("neither's Jobs are deleted for the other's", func(t *testing.T) {
		older := madeJob("1", 0, complete)
		older.Instance, older.Key.Namespace = "others", "elsewhere"
		o := observation{Target: orders, Jobs: []job{older, first, second}, State: told, Applications: []application{carrying("2", owner), carrying("3", other)}}
		for _, j := range decide(o).Collect {
			t.Errorf("%s is deleted", j.Key)
		}
	})
	t.Run("a Job that both list is the owner's", func(t *testing.T) {
		both := madeJob("3", 11, complete)
		a, b := named("orders", word("3", "Succeeded", reached)), named("others", word("3", "Succeeded", reached))
		d := decide(observation{Target: orders, Jobs: []job{both}, State: told, Applications: []application{carrying("3", b), carrying("3", a)}})
		if len(d.Publications) != 1 || d.Publications[0].State.Ready.Application != "argocd/orders" {
			t.Errorf("told is %+v, doubted %q", d.Publications, d.Doubts)
		}
	})
}

// TestOwnerOutOfSight has the state tell of an Application in a namespace that is not watched, of which the cache knows nothing and says so
// by an error.
func TestOwnerOutOfSight(t *testing.T) {
	o := observation{Target: orders, State: events.State{Ready: &events.Ready{Application: "elsewhere/orders"}}}
	w := world{Options: Options{ApplicationNamespaces: []string{"argocd"}}} // with no cache at all
	if err := w.owner(t.Context(), &o); err != nil || len(o.Applications) > 0 {
		t.Errorf("found %+v (%v), want nothing", o.Applications, err)
	}
}
