package kustomize

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/schemawave/schemawave/manifests"
)

// current reports whether the overlay holds what it should. It says no also where only a build can tell. What is written is
// always proven by a build; what was, and what nothing around it meets, need not be proven again.
func (w *work) current(found map[string][]byte) (bool, error) {
	if w.pass.Build != nil || w.pass.Yield {
		return false, nil
	}
	around := w.surroundings()
	if around == nil {
		return false, nil
	}
	if err := w.buildObjects(); err != nil {
		return false, err
	}
	if around.meet(w.objects) {
		return false, nil
	}
	files, err := encode(w.objects)
	if err == nil {
		err = w.list(files)
	}
	if err != nil || w.compare(w.kustomization, w.edited, found, files).Changed() {
		return false, err
	}
	return true, w.noCycles(nil)
}

// meet reports whether what is around generated objects may change them, or make what their Jobs need.
func (s *surroundings) meet(generated [][]manifests.Object) bool {
	keys, kinds := map[string]bool{}, map[string]bool{}
	var needs []manifests.Reference
	for _, hook := range hooks {
		keys[hook] = true
	}
	for _, o := range slices.Concat(generated...) {
		kinds[o.Kind()] = true
		for _, some := range []map[string]string{o.Value.GetLabels(), o.Value.GetAnnotations()} {
			for key := range some {
				keys[key] = true
			}
		}
		needs = append(needs, manifests.Reference{Kind: o.Kind(), Name: o.Value.GetName()})
		if job, ok := o.Value.(*batchv1.Job); ok {
			needs = append(needs, manifests.References(job)...)
		}
	}
	return slices.ContainsFunc(s.sets, func(key string) bool { return keys[key] }) ||
		slices.ContainsFunc(s.patches, func(kind string) bool { return kinds[kind] }) || s.makes(needs)
}

// makes reports whether an object may be one of those needed. A name that it has by then has the one in its file within
// it; and what a Job is found by is its name within another one.
func (s *surroundings) makes(needs []manifests.Reference) bool {
	makers := makers()
	return slices.ContainsFunc(s.objects, func(o manifests.Reference) bool {
		return slices.ContainsFunc(makers, func(m maker) bool { return m.kind == o.Kind }) || slices.ContainsFunc(needs, func(n manifests.Reference) bool {
			return n.Kind == o.Kind && (strings.Contains(n.Name, o.Name) || strings.Contains(o.Name, n.Name))
		})
	}) || slices.ContainsFunc(s.bases, func(base *surroundings) bool { return base.makes(needs) })
}
