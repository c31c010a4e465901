package kustomize

import (
	"bytes"
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
)

// generatedGates is the name of the file of the gates.
const generatedGates = "gates.yaml"

// patchTransformer is kustomize's own transformer of that name, which needs no plugin to be allowed. With a JSON patch it does
// not make kustomize parse its OpenAPI schema.
type patchTransformer struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Target     selector          `json:"target"`
	Patch      string            `json:"patch"`
}

// selector names one object, by regular expressions.
type selector struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// encodeGates returns the gates as a file of transformers, in the order of their names.
func encodeGates(gates []gate) ([]byte, error) {
	name := func(g gate) string {
		parts := []string{g.GetName(), strings.ToLower(g.GetKind()), g.GetGvk().Group, g.GetNamespace()}
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ".")
	}
	gates = slices.SortedFunc(slices.Values(gates), func(a, b gate) int { return cmp.Compare(name(a), name(b)) })
	file := bytes.NewBufferString(header)
	for i, g := range gates {
		patch, err := manifests.YAML(g.operations())
		if err != nil {
			return nil, err
		}
		id := g.GetGvk()
		document, err := manifests.YAML(patchTransformer{
			APIVersion: "builtin", Kind: "PatchTransformer", Metadata: map[string]string{"name": name(g)},
			Target: selector{regexp.QuoteMeta(id.Group), regexp.QuoteMeta(id.Version), id.Kind, regexp.QuoteMeta(g.GetName()), g.GetNamespace()},
			Patch:  string(patch),
		})
		if err != nil {
			return nil, err
		}
		if i > 0 {
			file.WriteString("---\n")
		}
		file.Write(document)
	}
	return file.Bytes(), nil
}

// operations hold the Pods back: by an init container before all others, so that nothing of the workload runs without its schema,
// or by a scheduling gate beside all others, with what tells the controller of it.
func (g gate) operations() []operation {
	if g.container != nil {
		at := g.at("spec", "initContainers")
		if len(g.own.init) == 0 {
			return []operation{{"add", at, []corev1.Container{*g.container}}}
		}
		return []operation{{"add", at + "/0", *g.container}}
	}
	var all []operation
	switch at, ours := g.at("spec", "schedulingGates"), (corev1.PodSchedulingGate{Name: manifests.SchedulingGate}); {
	case len(g.own.scheduling) == 0:
		all = append(all, operation{"add", at, []corev1.PodSchedulingGate{ours}})
	default:
		all = append(all, operation{"add", at + "/-", ours})
	}
	if g.lookup("metadata") == nil {
		all = append(all, operation{"add", g.at("metadata"), map[string]string{}})
	}
	label, annotation := manifests.GatedBy(g.targets)
	all = append(all, entries(g.at("metadata", "labels"), g.own.labels, label)...)
	return append(all, entries(g.at("metadata", "annotations"), g.own.annotations, annotation)...)
}

// at is where a field of the Pod stands.
func (w workload) at(field ...string) string {
	return "/" + strings.Join(slices.Concat(w.template, field), "/")
}

// entries add to a map, which is made where there is none.
func entries(at string, own, more map[string]string) []operation {
	if len(own) == 0 {
		return []operation{{"add", at, more}}
	}
	var all []operation
	for _, key := range slices.Sorted(maps.Keys(more)) {
		all = append(all, operation{"add", at + "/" + strings.ReplaceAll(key, "/", "~1"), more[key]})
	}
	return all
}
