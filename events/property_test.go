package events_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/events"
)

// anyVersion makes versions as tools write them, and such as nobody writes; alike enough to be often equal or next to each other.
func anyVersion(r *rand.Rand) string {
	pieces := []string{"", "0", "00", "1", "01", "2", "10", "9", ".", "..", ".0", "_", "-", "a", "b", "A", "1.0", "20261122093000", "99999999999999999999999"}
	var b strings.Builder
	for range r.IntN(5) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// TestCompareVersionsIsATotalOrder: antisymmetric, transitive, and versions that are the same are so to every other one.
func TestCompareVersionsIsATotalOrder(t *testing.T) {
	for seed := range uint64(30_000) {
		r := rand.New(rand.NewPCG(seed, 0))
		v := []string{anyVersion(r), anyVersion(r), anyVersion(r)}
		for _, a := range v {
			for _, b := range v {
				ab := events.CompareVersions(a, b)
				if ab != -events.CompareVersions(b, a) || a == b && ab != 0 {
					t.Fatalf("seed %d: %q and %q: %d, and %d the other way round", seed, a, b, ab, events.CompareVersions(b, a))
				}
				for _, c := range v {
					bc, ac := events.CompareVersions(b, c), events.CompareVersions(a, c)
					if ab <= 0 && bc <= 0 && ac > 0 || ab == 0 && ac != bc {
						t.Fatalf("seed %d: %q, %q, %q: %d, %d, but %d", seed, a, b, c, ab, bc, ac)
					}
				}
			}
		}
	}
}

// TestSatisfiesFollowsTheOrder: of the readers that a state does not serve, those that are too old come first, then those that it
// serves, then those that wait; and a newer schema that serves the same readers takes none away.
func TestSatisfiesFollowsTheOrder(t *testing.T) {
	seen := map[events.Answer]int{}
	for seed := range uint64(30_000) {
		r := rand.New(rand.NewPCG(seed, 0))
		ready := &events.Ready{Version: anyVersion(r), MinCompatible: anyVersion(r)}
		s := events.State{Environment: "e", Database: "d", Ready: ready}
		readers := []string{anyVersion(r), anyVersion(r), anyVersion(r), ready.Version, ready.MinCompatible}
		readers = slices.DeleteFunc(readers, func(v string) bool { return v == "" }) // which asks for any version
		slices.SortFunc(readers, events.CompareVersions)
		rank := map[events.Answer]int{events.Incompatible: 0, events.Satisfied: 1, events.NotYet: 2}
		last := 0
		for _, reader := range readers {
			a := s.Satisfies(reader).Answer
			seen[a]++
			if rank[a] < last {
				t.Fatalf("seed %d: %+v answers %v to %q, which is newer than one that it answered differently: %q", seed, ready, a, reader, readers)
			}
			last = rank[a]
			newer := anyVersion(r)
			if a != events.Satisfied || events.CompareVersions(newer, ready.Version) < 0 {
				continue
			}
			next := events.State{Environment: "e", Database: "d", Ready: &events.Ready{Version: newer, MinCompatible: ready.MinCompatible}}
			if b := next.Satisfies(reader).Answer; b != events.Satisfied {
				t.Fatalf("seed %d: %+v serves %q, and %q answers %v", seed, ready, reader, newer, b)
			}
		}
		if any := s.Satisfies("").Answer; any != events.Satisfied {
			t.Fatalf("seed %d: %+v answers %v to whoever takes any version", seed, ready, any)
		}
	}
	for _, a := range []events.Answer{events.Incompatible, events.Satisfied, events.NotYet} {
		if seen[a] < 1000 {
			t.Errorf("%v was answered %d times", a, seen[a])
		}
	}
}
