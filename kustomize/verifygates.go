package kustomize

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
)

// verifyGates holds the init containers that the overlay yields with the gates against those without: each gated workload has
// gained its gate, before all others, and everything else is as it was.
func (w *work) verifyGates(gates []gate, before, after built) error {
	var problems Problems
	report := func(load workload, what string) {
		problems.add(w.kustomization.file, 0, load.String()+": "+what, "give each workload a name of its own, and let no transformer change init containers after "+gatesListed.entry)
	}
	if len(before) != len(after) {
		problems.add(w.kustomization.file, 0, fmt.Sprintf("with its gates the overlay yields %d objects instead of %d", len(after), len(before)), "report this as a bug of Schemawave")
		return problems
	}
	for i, r := range before {
		load, ok := workloadOf(r)
		if !ok {
			continue
		}
		want, err := load.initContainers()
		if err != nil {
			return err
		}
		have, err := workload{after[i], load.template}.initContainers()
		if err != nil {
			return err
		}
		if g := slices.IndexFunc(gates, func(g gate) bool { return g.Resource == r }); g >= 0 {
			if len(have) == 0 || !opens(have[0], gates[g].container) {
				report(load, "the gate "+manifests.GateName+" does not come out of the overlay as its first init container")
				continue
			}
			have = have[1:]
		}
		if !same(want, have) {
			report(load, "its init containers do not come out of the overlay as they were")
		}
	}
	return problems.err()
}

// opens reports whether a container waits as the gate does. What it is connected by may have other names.
func opens(c, gate corev1.Container) bool {
	return c.Name == gate.Name && c.Image == gate.Image && slices.Equal(c.Command, gate.Command) && slices.Equal(c.Args, gate.Args)
}
