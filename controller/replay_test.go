package controller

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// modes are the two ways to look at a cluster.
var modes = map[string]Options{
	"jobs":         {LocalServers: localServers},
	"applications": {LocalServers: localServers, ApplicationsOnly: true},
}

// TestReplay replays every recording, delivery by delivery, and compares all that was published with the history that a
// person has checked against the recording. Nothing that was delivered is written to: the cache gives out what it holds, and no copies.
func TestReplay(t *testing.T) {
	for mode, o := range modes {
		t.Run(mode, func(t *testing.T) {
			var got strings.Builder
			for _, name := range recordings(t) {
				b := newBroker(t)
				r := newReplica(t, newShelf(t, o), o, b)
				rec := recording(t, name)
				before := written(t, rec)
				for _, d := range slices.Backward(rec) { // watches of different kinds may be milliseconds apart
					if kind(d.object) == "Job" {
						r.shelf.happen(d)
					}
				}
				for _, d := range rec {
					r.deliver(d)
					if failed := r.work(); len(failed) > 0 {
						t.Fatalf("%s: passes failed: %v", name, failed)
					}
				}
				if diff := cmp.Diff(before, written(t, rec)); diff != "" {
					t.Errorf("%s: what the cache holds was written to: -before +after\n%s", name, diff)
				}
				fmt.Fprintf(&got, "%s\n", name)
				for _, line := range append(b.history(), r.shelf.deleted...) {
					fmt.Fprintf(&got, "\t%s\n", line)
				}
			}
			golden(t, "testdata/history-"+mode+".txt", got.String())
		})
	}
}

// written is what was delivered, as JSON.
func written(t *testing.T, all []delivery) (texts []string) {
	t.Helper()
	for _, d := range all {
		text, err := json.Marshal(d.object)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (rewrite it with -update): -want +got\n%s", file, diff)
	}
}
