package controller

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// hydrations remembers from which commits Argo CD has hydrated those that it syncs. An Application's status tells that of the newest one
// alone, which may be made while an older one is synced. It is safe for concurrent use.
type hydrations struct {
	mu sync.Mutex
	of map[types.NamespacedName][]hydration // oldest first
}

// hydration is a commit that Argo CD has made, and the one that it was made from.
type hydration struct{ Commit, From string }

// perApplication is how many hydrations of an Application are remembered.
const perApplication = 8

func newHydrations() *hydrations {
	return &hydrations{of: map[types.NamespacedName][]hydration{}}
}

// see returns what is remembered of an Application, and its last hydration, whose Commit is empty if it has none. Of a newer dry commit that
// changes no manifest 3.5 makes no other hydrated one: that goes on being the one it was made from.
func (h *hydrations) see(a types.NamespacedName, last hydration) []hydration {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := h.of[a]
	if last.Commit == "" || slices.ContainsFunc(seen, func(one hydration) bool { return one.Commit == last.Commit }) {
		return seen
	}
	if len(seen) == perApplication {
		seen = seen[1:]
	}
	seen = append(slices.Clone(seen), last)
	h.of[a] = seen
	return seen
}

func (h *hydrations) forget(a types.NamespacedName) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.of, a)
}
