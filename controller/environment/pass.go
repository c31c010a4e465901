package environment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxTries bounds how often one pass starts again because somebody else pushed first. After that the writer pauses, and
// the next pass tries again: nothing is lost.
const maxTries = 10

// Result says how a pass ended.
type Result string

// The results of a pass; they are the values of a metric's label.
const (
	Unchanged Result = "unchanged" // the branch is where the last pass left it
	Current   Result = "current"   // the branch moved, and no generated file had to change
	Pushed    Result = "pushed"    // a commit was pushed
	Proposed  Result = "proposed"  // a commit was pushed to the branch of a pull request, or the pull request opened
	Failed    Result = "failed"    // see Report.Err; the writer tries again
)

// Report is the outcome of one pass.
type Report struct {
	Repository string // its URL
	Branch     string
	Result     Result
	Source     string            // the commit that was looked at
	Commit     string            // the commit that was pushed, if any
	Rendered   []string          // the overlays the commit changed
	Touched    []string          // the overlays that a push by others changed
	Held       []string          // all overlays left alone because a person undid what was rendered
	Broken     map[string]string // all overlays that cannot be rendered, and why
	Tries      int               // how often the pass began, because others pushed
	Began      time.Time         // for the first time
	Steps      []Step            // of the last try, as far as it came
	Err        error             // why it failed; a *Fault

	PullRequest string // the address of the open one, if the pass has looked at it
}

// Step is a part of a pass: fetch, render or push.
type Step struct {
	Name         string
	Began, Ended time.Time
}

// step notes a step that has just ended.
func (r *Report) step(name string, began time.Time) {
	r.Steps = append(r.Steps, Step{name, began, time.Now()})
}

// pass brings the branch up to date once.
func (w *writer) pass(ctx context.Context) Report {
	rep := Report{Repository: w.repo.URL, Branch: w.repo.Branch, Began: time.Now()}
	for rep.Tries = 1; ; rep.Tries++ {
		err := w.try(ctx, &rep)
		switch {
		case err == nil:
			rep.Held = slices.Sorted(maps.Keys(w.held))
			rep.Broken = maps.Clone(w.failed)
			return rep
		case errors.Is(err, errMoved) && rep.Tries < maxTries:
			if !pauseFor(ctx, vary(20*time.Millisecond*time.Duration(rep.Tries), 0.9)) {
				err = ctx.Err()
				break
			}
			continue
		case errors.Is(err, errMoved):
			err = &Fault{FaultContended, fmt.Errorf("push: %w, %d times in a row", err, rep.Tries)}
		}
		rep.Result, rep.Err = Failed, w.fault(err)
		return rep
	}
}

// pauseFor waits, unless ctx is done first.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// try is fetch, render, commit, push, once. It returns errMoved where somebody pushed in between; all is then as before.
func (w *writer) try(ctx context.Context, rep *Report) error {
	if err := w.prepare(); err != nil {
		return err
	}
	rep.Steps = nil
	began := time.Now()
	tip, err := w.remote.fetch(ctx, w.clone, 0)
	rep.step("fetch", began)
	if err != nil {
		return err
	}
	rep.Source, rep.Rendered, rep.Touched = tip.String(), nil, nil
	if tip == w.done && w.remote.own == w.proposed {
		rep.Result = Unchanged
		return nil
	}
	head, err := w.clone.commit(tip)
	if err != nil {
		return err
	}
	began = time.Now()
	todo, err := w.plan(tip, head.TreeHash)
	if err != nil {
		return err
	}
	edits, outcome, err := w.renderAll(ctx, tip, todo)
	rep.step("render", began)
	if err != nil {
		return err
	}
	rep.Result, rep.Touched = Current, todo.touched
	at := tip
	began = time.Now()
	if w.api != nil && w.repo.ownBranch() != "" {
		err := w.propose(ctx, head, &outcome, rep)
		rep.step("push", began)
		if err != nil {
			return err
		}
	} else if len(edits) > 0 {
		at, err = w.publish(ctx, head, edits, outcome.rendered)
		rep.step("push", began)
		if err != nil {
			for _, o := range outcome.rendered {
				if undo := w.checkout.restore(w.clone, o); undo != nil {
					return undo
				}
			}
			return err
		}
		rep.Result, rep.Commit, rep.Rendered = Pushed, at.String(), outcome.rendered
	}
	w.settle(at, todo, outcome)
	if rep.Result == Pushed {
		w.refresh.ask(rep.Rendered)
	}
	w.refresh.ask(slices.Concat(todo.touched, todo.dirs))
	return nil
}

// publish commits the edits on top of head and pushes them, and takes the commit over once the host has it.
func (w *writer) publish(ctx context.Context, head *object.Commit, edits []edit, overlays []string) (plumbing.Hash, error) {
	s := newStage(w.clone)
	tree, err := s.rewrite(head.TreeHash, edits)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("commit: %w", err)
	}
	commit, err := s.commit(w.author, w.signing, head, tree, message(head.Hash, overlays))
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("commit: %w", err)
	}
	pack, err := s.pack()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	started := time.Now()
	if err := w.remote.push(ctx, head.Hash, commit, pack); err != nil {
		return plumbing.ZeroHash, err
	}
	w.metrics.pushed(w.repo, time.Since(started))
	w.log.Info("pushed", "commit", commit.String(), "source", head.Hash.String(), "overlays", len(overlays), "files", len(edits))
	if err := w.takeOver(commit, tree, pack, edits); err != nil {
		w.warn(err) // it is pushed: the next pass begins with a new clone
		w.forget()
	}
	return commit, nil
}

// takeOver brings the clone to a commit that was pushed from the checkout.
func (w *writer) takeOver(commit, tree plumbing.Hash, pack []byte, edits []edit) error {
	if err := w.clone.adopt(commit, pack); err != nil {
		return err
	}
	w.checkout.tree = tree
	var gone []change
	for _, e := range edits {
		if e.mode == filemode.Empty { // an overlay without migrations ends being one with its last generated file
			gone = append(gone, change{path: e.path})
		}
	}
	return w.survey(gone)
}

// settle remembers what a finished pass left.
func (w *writer) settle(at plumbing.Hash, todo plan, o outcome) {
	for overlay, why := range o.failed {
		if w.failed[overlay] != why {
			w.log.Error("overlay cannot be rendered", "overlay", overlay, "err", why)
		}
	}
	for _, overlay := range o.held {
		if !w.held[overlay] {
			w.log.Warn("generated files were changed by hand; they are left alone until a source of the overlay changes", "overlay", overlay)
		}
	}
	for _, overlay := range o.rendered {
		for _, warning := range o.warned[overlay] {
			w.log.Warn("overlay is rendered, but "+warning, "overlay", overlay)
		}
	}
	if todo.cold {
		w.failed, w.held = map[string]string{}, map[string]bool{}
	}
	for _, overlay := range todo.render {
		if _, was := w.failed[overlay]; was && o.failed[overlay] == "" {
			w.log.Info("overlay can be rendered again", "overlay", overlay)
		}
		delete(w.failed, overlay)
		delete(w.held, overlay)
	}
	maps.Copy(w.failed, o.failed)
	w.pending = map[string]bool{}
	for _, overlay := range o.pending {
		w.pending[overlay] = true
	}
	for _, overlay := range o.held {
		w.held[overlay] = true
	}
	if w.clone != nil {
		w.done, w.proposed = at, w.remote.own
	}
}
