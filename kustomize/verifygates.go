package kustomize

import (
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
)

// verifyGates holds the Pods that the overlay yields with the gates against those without: each gated workload has gained its
// gate, an init container before all others, and everything else is as it was.
func (w *work) verifyGates(gates []gate, before, after built) error {
	var problems Problems
	report := func(load workload, what string) {
		problems.add(w.kustomization.file, 0, load.String()+": "+what, "give each workload a name of its own, and let no transformer change what holds Pods back after "+gatesListed.entry)
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
		want, err := load.pod()
		if err != nil {
			return err
		}
		have, err := workload{after[i], load.template}.pod()
		if err != nil {
			return err
		}
		if g := slices.IndexFunc(gates, func(g gate) bool { return g.Resource == r }); g >= 0 {
			want = gates[g].held()
			if c := gates[g].container; c != nil {
				if len(have.init) == 0 || !opens(have.init[0], *c) {
					report(load, "the gate "+manifests.GateName+" does not come out of the overlay as its first init container")
					continue
				}
				want.init[0] = have.init[0] // what it is connected by may have other names
			}
		}
		if !same(want.init, have.init) {
			report(load, "its init containers do not come out of the overlay as they were")
		}
		if !same(want.scheduling, have.scheduling) || !reflect.DeepEqual(want.labels, have.labels) || !reflect.DeepEqual(want.annotations, have.annotations) {
			report(load, "its scheduling gates, or its Pods' labels and annotations, do not come out of the overlay as they should")
		}
	}
	return problems.err()
}

// same reports whether two lists are the same.
func same[T any](a, b []T) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// opens reports whether a container waits as the gate does.
func opens(c, gate corev1.Container) bool {
	return c.Name == gate.Name && c.Image == gate.Image && slices.Equal(c.Command, gate.Command) && slices.Equal(c.Args, gate.Args)
}
