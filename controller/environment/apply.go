package environment

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxRounds bounds how often overlays are rendered again because they include another one that was just rendered.
const maxRounds = 4

// outcome is what rendering made of the overlays of a plan.
type outcome struct {
	rendered []string            // those with changed files, sorted
	edits    map[string][]edit   // of those, what changes
	failed   map[string]string   // those that cannot be rendered, and why
	held     []string            // those left alone
	pending  []string            // those to be proposed, now and as long as the branch lacks them
	warned   map[string][]string // of those with changed files, what they were warned of
}

// renderAll renders what the plan asks for into the checkout and returns the changed files. An overlay that fails is as
// before; after an error of the whole, all are.
func (w *writer) renderAll(ctx context.Context, tip plumbing.Hash, todo plan) ([]edit, outcome, error) {
	o := outcome{failed: map[string]string{}, warned: map[string][]string{}}
	edits := map[string][]edit{}
	o.edits = edits
	err := w.rounds(ctx, tip, todo, &o, edits)
	if err != nil {
		for overlay := range edits {
			if undo := w.checkout.restore(w.clone, overlay); undo != nil {
				return nil, outcome{}, undo
			}
		}
		return nil, outcome{}, err
	}
	var all []edit
	for _, overlay := range slices.Sorted(maps.Keys(edits)) {
		if len(edits[overlay]) > 0 {
			o.rendered = append(o.rendered, overlay)
			all = append(all, edits[overlay]...)
		}
	}
	return all, o, nil
}

func (w *writer) rounds(ctx context.Context, tip plumbing.Hash, todo plan, o *outcome, edits map[string][]edit) error {
	overlays, changed := todo.render, todo.changed
	for round := 0; len(overlays) > 0 && round < maxRounds; round++ {
		stale, err := w.stale(ctx, overlays, o)
		if err != nil {
			return err
		}
		held, err := w.undoneByHand(ctx, tip, todo.cold && round == 0, stale, changed)
		if err != nil {
			return err
		}
		var fresh []change
		for _, overlay := range slices.Sorted(maps.Keys(stale)) {
			if held[overlay] {
				o.held = append(o.held, overlay)
				continue
			}
			if edits[overlay], err = w.put(overlay, stale[overlay], o); err != nil {
				return err
			}
			for _, e := range edits[overlay] {
				fresh = append(fresh, change{path: e.path, to: entry{mode: e.mode}})
			}
		}
		changed = w.includers(fresh)
		overlays = slices.Sorted(maps.Keys(changed))
	}
	return nil
}

// stale renders overlays, several at once, and returns those whose files are not what they should be.
func (w *writer) stale(ctx context.Context, overlays []string, o *outcome) (map[string]Rendering, error) {
	stale := map[string]Rendering{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	render := w.render(w.checkout.dir)
	next := make(chan string)
	for range min(runtime.GOMAXPROCS(0), len(overlays)) {
		wg.Go(func() {
			for overlay := range next {
				r, changed, err := renderOne(ctx, render, overlay)
				mu.Lock()
				delete(o.failed, overlay)
				if err != nil {
					o.failed[overlay] = w.inRepository(err)
				} else if changed {
					stale[overlay] = r
				}
				mu.Unlock()
			}
		})
	}
	for _, overlay := range overlays {
		if ctx.Err() != nil {
			break
		}
		next <- overlay
	}
	close(next)
	wg.Wait()
	return stale, ctx.Err()
}

// renderOne keeps a panic in the renderer's foreign code to the overlay that caused it.
func renderOne(ctx context.Context, render Renderer, overlay string) (r Rendering, changed bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rendering panicked, which is a bug: %v", p)
		}
	}()
	if r, err = render(ctx, overlay); err != nil {
		return nil, false, err
	}
	return r, r.Changed(), nil
}

// inRepository words an overlay's error with paths of the repository instead of the checkout's.
func (w *writer) inRepository(err error) string {
	return strings.ReplaceAll(err.Error(), w.checkout.dir+"/", "")
}

// undoneByHand finds the stale overlays to leave alone: of a first pass those that the history says so of, else those of
// which no source changed.
func (w *writer) undoneByHand(ctx context.Context, tip plumbing.Hash, cold bool, stale map[string]Rendering, changed map[string]bool) (map[string]bool, error) {
	if len(stale) == 0 {
		return nil, nil
	}
	if cold {
		return w.judge(ctx, tip, slices.Collect(maps.Keys(stale)))
	}
	held := map[string]bool{}
	for overlay := range stale {
		held[overlay] = !changed[overlay]
	}
	return held, nil
}

// put writes one overlay's files and returns what that changed.
func (w *writer) put(overlay string, r Rendering, o *outcome) ([]edit, error) {
	err := w.checkout.noLinks(overlay)
	if err != nil {
		o.failed[overlay] = w.inRepository(err)
		return nil, nil
	}
	if err = r.Write(); err == nil {
		var edits []edit
		if edits, err = w.checkout.written(w.clone, overlay); err == nil {
			o.warned[overlay] = r.Warnings()
			return edits, nil
		}
	}
	o.failed[overlay] = w.inRepository(err)
	return nil, w.checkout.restore(w.clone, overlay)
}

// includers returns the overlays other than their own that changed files are sources of.
func (w *writer) includers(changes []change) map[string]bool {
	found := map[string]bool{}
	for _, ch := range w.checkout.linked(changes) {
		w.sources.reached(ch.path, func(overlay string) {
			if !slices.Contains(ownedBy(ch.path), overlay) {
				found[overlay] = true
			}
		})
	}
	return found
}
