package environment

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// plan is what one pass has to look at.
type plan struct {
	cold    bool            // nothing is known of what happened before: every overlay is looked at
	render  []string        // the overlays to render, sorted
	changed map[string]bool // those of which a source changed: what rendering gives is written, whatever is there
	touched []string        // those of which others changed any file, sorted
}

// plan checks out the tip and finds the overlays that what happened since the last pass can reach.
func (w *writer) plan(tip, tree plumbing.Hash) (plan, error) {
	cold := w.done.IsZero()
	var changes []change
	if !cold {
		grew, err := w.clone.descends(tip, w.done)
		if err != nil {
			return plan{}, err
		}
		cold = !grew
		last, err := w.clone.commit(w.done)
		if err != nil {
			return plan{}, err
		}
		if changes, err = w.clone.diff(last.TreeHash, tree); err != nil {
			return plan{}, err
		}
	}
	if err := w.checkout.to(w.clone, tree); err != nil {
		return plan{}, err
	}
	if err := w.survey(changes); err != nil {
		return plan{}, err
	}
	if cold {
		return plan{cold: true, render: slices.Sorted(maps.Keys(w.overlays))}, nil
	}
	generated, source, err := w.classify(changes)
	if err != nil {
		return plan{}, err
	}
	all := maps.Clone(source)
	maps.Copy(all, generated)
	touched := slices.Sorted(maps.Keys(all))
	for overlay := range w.failed {
		if w.overlays[overlay] {
			all[overlay], source[overlay] = true, true
		}
	}
	maps.DeleteFunc(w.failed, func(o string, _ string) bool { return !w.overlays[o] })
	maps.DeleteFunc(w.held, func(o string, _ bool) bool { return !w.overlays[o] })
	return plan{render: slices.Sorted(maps.Keys(all)), changed: source, touched: touched}, nil
}

// survey brings the list of overlays and their sources up to date with the checkout.
func (w *writer) survey(changes []change) error {
	if w.overlays != nil && !slices.ContainsFunc(changes, func(ch change) bool { return mayDeclare(ch.path) }) {
		return nil
	}
	list, err := w.list(w.checkout.dir)
	if err != nil {
		return &Fault{FaultInternal, fmt.Errorf("list overlays: %w", err)}
	}
	overlays := map[string]bool{}
	for _, o := range list {
		if w.repo.selects(o) {
			overlays[o] = true
		}
	}
	root := w.checkout.fs()
	for o := range w.overlays {
		if !overlays[o] {
			w.sources.forget(o)
		}
	}
	affected := map[string]bool{}
	for _, ch := range changes {
		w.sources.reached(ch.path, func(o string) { affected[o] = true })
	}
	for o := range overlays {
		if !w.overlays[o] || affected[o] {
			w.sources.learn(root, o)
		}
	}
	w.overlays = overlays
	return nil
}

// mayDeclare reports whether a file can make its directory an overlay, or change what an overlay depends on.
func mayDeclare(file string) bool {
	return strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml") || path.Base(file) == "Kustomization"
}
