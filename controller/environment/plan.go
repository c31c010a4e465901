package environment

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/schemawave/schemawave/kustomize"
)

// plan is what one pass has to look at.
type plan struct {
	cold    bool            // it is not known what happened since the last pass, if there was one: every overlay is looked at
	render  []string        // the overlays to render, sorted
	changed map[string]bool // those of which a source changed: what rendering gives is written, whatever is there
	touched []string        // those of which others changed any file, sorted
	dirs    []string        // the directories in which others changed files, sorted
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
	moved, err := w.checkout.to(w.clone, tree) // from the last try, which need not be the last finished pass
	if err != nil {
		return plan{}, err
	}
	if err := w.survey(w.checkout.linked(moved)); err != nil {
		return plan{}, err
	}
	generated, source, err := w.classify(changes)
	if err != nil {
		return plan{}, err
	}
	all := maps.Clone(source)
	maps.Copy(all, generated)
	dirs := map[string]bool{}
	for _, ch := range changes {
		dirs[path.Dir(ch.path)] = true
	}
	todo := plan{cold: cold, touched: slices.Sorted(maps.Keys(all)), dirs: slices.Sorted(maps.Keys(dirs))}
	if cold {
		todo.render = slices.Sorted(maps.Keys(w.overlays))
		return todo, nil
	}
	for _, again := range []iter.Seq[string]{maps.Keys(w.failed), maps.Keys(w.pending)} {
		for overlay := range again {
			if w.overlays[overlay] {
				all[overlay], source[overlay] = true, true
			}
		}
	}
	maps.DeleteFunc(w.failed, func(o string, _ string) bool { return !w.overlays[o] })
	maps.DeleteFunc(w.held, func(o string, _ bool) bool { return !w.overlays[o] })
	todo.render, todo.changed = slices.Sorted(maps.Keys(all)), source
	return todo, nil
}

// survey brings the list of overlays and their sources up to date with the checkout, reading only where files changed.
func (w *writer) survey(changes []change) error {
	dirs := declaring(changes)
	annotated := w.annotated(changes)
	w.gated = w.gated || annotated
	if annotated || w.gated && slices.ContainsFunc(changes, func(ch change) bool { return isKustomization(ch.path) }) {
		dirs = []string{"."} // what has become an overlay, or none, may be anywhere around it
	}
	if w.overlays == nil {
		w.overlays, dirs = map[string]bool{}, []string{"."}
	}
	known := maps.Clone(w.overlays)
	affected := map[string]bool{}
	for _, ch := range changes {
		w.sources.reached(ch.path, func(o string) { affected[o] = true })
	}
	for _, dir := range dirs {
		for o := range w.overlays {
			if within(o, dir) && (!w.gated || dir == ".") { // else it may be one by an annotation that is not below dir
				delete(w.overlays, o)
			}
		}
		found, err := w.overlaysBelow(dir)
		if err != nil {
			return fmt.Errorf("list overlays: %w", err) // no Fault: what is known by now is not kept
		}
		for _, o := range found {
			w.overlays[o] = true
			affected[o] = affected[o] || !known[o]
		}
	}
	for o := range known {
		affected[o] = affected[o] || !w.overlays[o]
	}
	root := w.checkout.fs()
	for o, is := range affected {
		switch {
		case !is:
		case w.overlays[o]:
			w.sources.learn(root, o)
		default:
			w.sources.forget(o)
		}
	}
	return nil
}

// annotated reports whether one of the changed files annotates workloads to wait for a schema.
func (w *writer) annotated(changes []change) bool {
	return slices.ContainsFunc(changes, func(ch change) bool {
		return kustomize.Annotates(w.checkout.fs(), ch.path) // a file that is gone annotates nothing
	})
}

// overlaysBelow lists those overlays at and below a directory that the configuration selects.
func (w *writer) overlaysBelow(dir string) ([]string, error) {
	at := w.checkout.path(dir)
	if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	list, err := w.list(at)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, o := range list {
		rel, err := filepath.Rel(w.checkout.dir, o)
		if err != nil {
			return nil, err
		}
		if rel = filepath.ToSlash(rel); w.repo.selects(rel) {
			found = append(found, rel)
		}
	}
	return found, nil
}

// declaring lists the directories in which changed files can make or unmake an overlay.
func declaring(changes []change) []string {
	found := map[string]bool{}
	for _, ch := range changes {
		if !mayDeclare(ch.path) {
			continue
		}
		dir := path.Dir(ch.path)
		if path.Base(dir) == generatedDir {
			dir = path.Dir(dir)
		}
		found[dir] = true
	}
	var dirs []string
	for _, dir := range slices.Sorted(maps.Keys(found)) { // a directory sorts before those below it
		if !slices.ContainsFunc(dirs, func(above string) bool { return within(dir, above) }) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// mayDeclare reports whether a file can make its directory an overlay, or change what an overlay depends on.
func mayDeclare(file string) bool {
	return strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml") || path.Base(file) == "Kustomization"
}
