package controller

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestExplainRecordings explains the Applications of some recordings as each one ends: with nothing published, and once all is.
func TestExplainRecordings(t *testing.T) {
	var got strings.Builder
	for _, name := range []string{
		"a-content-addressed-prune", "b-exit65-retry0", "b-exit75-retry0", "bad-manifest", "c1-skip-op-in-progress",
		"c3-failed-then-unrelated-control",
	} {
		o := Options{LocalServers: localServers}
		b := newBroker(t)
		r := newReplica(t, newShelf(t, o), o, b)
		for _, d := range recording(t, name) {
			r.deliver(d)
		}
		apps := r.shelf.stores["Application"].List()
		slices.SortFunc(apps, func(a, b any) int {
			return strings.Compare(a.(*argo.Application).Name, b.(*argo.Application).Name)
		})
		tell := func(when string, states States) {
			for _, a := range apps {
				o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
				w := world{Options: o, cluster: r.shelf, live: server{r.shelf}, places: o.places(place{cache: r.shelf, live: server{r.shelf}}), stalls: newStalls(), hydrations: newHydrations()}
				e, err := explain(t.Context(), w, states, client.ObjectKeyFromObject(a.(*argo.Application)))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				fmt.Fprintf(&got, "== %s, %s\n%s\n", name, when, e)
			}
		}
		tell("NATS not asked", nil)
		if failed := r.work(); len(failed) > 0 {
			t.Fatalf("%s: passes failed: %v", name, failed)
		}
		tell("all published", b)
	}
	golden(t, "testdata/explain.txt", got.String())
}
