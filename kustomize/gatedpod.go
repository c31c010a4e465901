package kustomize

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/schemawave/schemawave/manifests"
)

// pod is what a workload says of its Pods, as far as gates have to do with it.
type pod struct {
	init                []corev1.Container
	scheduling          []corev1.PodSchedulingGate
	labels, annotations map[string]string
}

// pod reads what a workload says of its Pods.
func (w workload) pod() (pod, error) {
	p := pod{labels: entriesOf(w.lookup("metadata", "labels")), annotations: entriesOf(w.lookup("metadata", "annotations"))}
	for field, list := range map[string]any{"initContainers": &p.init, "schedulingGates": &p.scheduling} {
		n := w.lookup("spec", field)
		if n == nil {
			continue
		}
		if err := decodeNode(n.YNode(), list); err != nil {
			return p, fmt.Errorf("read the %s of %s: %w", field, w, err)
		}
	}
	return p, nil
}

// entriesOf reads labels or annotations as they are written; nil if there are none.
func entriesOf(n *yaml.RNode) map[string]string {
	if n == nil || n.YNode().Kind != yaml.MappingNode {
		return nil
	}
	all := map[string]string{}
	for i := 0; i+1 < len(n.Content()); i += 2 {
		all[n.Content()[i].Value] = n.Content()[i+1].Value
	}
	return all
}

// waits reports whether the Pod has an init container that waits for schemas, ours or one that was written by hand, and whether it
// waits for all targets, whatever else it does. Kubernetes takes two dollars for one.
func (p pod) waits(targets []manifests.Target) (there, enough bool) {
	i := slices.IndexFunc(p.init, func(c corev1.Container) bool { return c.Name == manifests.GateName })
	if i < 0 {
		return false, false
	}
	var args []string
	for _, arg := range p.init[i].Args {
		args = append(args, strings.ReplaceAll(arg, "$$", "$"))
	}
	return true, cover(args, targets)
}

// gated reports whether the Pod has our scheduling gate, and whether that waits for all targets.
func (p pod) gated(targets []manifests.Target) (there, enough bool) {
	there = slices.Contains(p.scheduling, corev1.PodSchedulingGate{Name: manifests.SchedulingGate})
	return there, cover(strings.Split(p.annotations[manifests.AnnotationGate], ","), targets) && p.labels[manifests.LabelGated] == manifests.Gated
}

// cover reports whether each target is among those that are written, at its version or, if it has none, at any.
func cover(written []string, targets []manifests.Target) bool {
	return !slices.ContainsFunc(targets, func(t manifests.Target) bool {
		return !slices.ContainsFunc(written, func(s string) bool {
			other, err := manifests.ParseTarget(strings.TrimSpace(s))
			if t.Version == "" {
				other.Version = ""
			}
			return err == nil && other == t
		})
	})
}

// held is what the gate makes of the Pod.
func (g gate) held() pod {
	p := g.own
	if g.container != nil {
		p.init = slices.Concat([]corev1.Container{*g.container}, p.init)
		return p
	}
	label, annotation := manifests.GatedBy(g.targets)
	p.scheduling = append(slices.Clone(p.scheduling), corev1.PodSchedulingGate{Name: manifests.SchedulingGate})
	p.labels, p.annotations = joined(p.labels, label), joined(p.annotations, annotation)
	return p
}

func joined(own, more map[string]string) map[string]string {
	all := maps.Clone(more)
	for k, v := range own {
		if _, ours := more[k]; !ours {
			all[k] = v
		}
	}
	return all
}
