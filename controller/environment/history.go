package environment

import (
	"container/heap"
	"context"
	"fmt"
	"maps"
	"regexp"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// trailer marks a commit of ours and names the commit it was rendered from.
const trailer = "Schemawave-Rendered"

var trailerLine = regexp.MustCompile(`(?m)^` + trailer + `: [0-9a-f]{40}\s*$`)

func isOurs(c *object.Commit) bool { return trailerLine.MatchString(c.Message) }

// maxHistory bounds how many commits back a commit of ours is looked for.
const maxHistory = 10_000

// newestFirst is a heap of commits by committer time.
type newestFirst []*object.Commit

func (h newestFirst) Len() int           { return len(h) }
func (h newestFirst) Less(i, j int) bool { return h[i].Committer.When.After(h[j].Committer.When) }
func (h newestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *newestFirst) Push(x any)        { *h = append(*h, x.(*object.Commit)) }
func (h *newestFirst) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	*h = (*h)[:last]
	return c
}

// log visits the commits reachable from tip, newest first, until visit returns false or maxHistory is reached. A commit
// whose parents the clone lacks is not visited; complete reports that there was none.
func (c *clone) log(tip plumbing.Hash, visit func(*object.Commit) (bool, error)) (complete bool, err error) {
	seen := map[plumbing.Hash]bool{tip: true}
	first, err := c.commit(tip)
	if err != nil {
		return false, err
	}
	todo := &newestFirst{first}
	complete = true
	for n := 0; todo.Len() > 0 && n < maxHistory; n++ {
		commit := heap.Pop(todo).(*object.Commit)
		if _, cut := c.shallow[commit.Hash]; cut {
			complete = false
			continue
		}
		if more, err := visit(commit); err != nil || !more {
			return complete, err
		}
		for _, p := range commit.ParentHashes {
			if seen[p] {
				continue
			}
			seen[p] = true
			parent, err := c.commit(p)
			if err != nil {
				return false, err
			}
			heap.Push(todo, parent)
		}
	}
	return complete, nil
}

// descends reports whether the branch only grew from an earlier tip to this one.
func (c *clone) descends(tip, from plumbing.Hash) (bool, error) {
	found := tip == from
	if found {
		return true, nil
	}
	_, err := c.log(tip, func(commit *object.Commit) (bool, error) {
		for _, p := range commit.ParentHashes {
			found = found || p == from
		}
		return !found, nil
	})
	return found, err
}

// introduced lists what a commit changed; of a merge, what differs from each of its parents.
func (c *clone) introduced(commit *object.Commit) ([]change, error) {
	if len(commit.ParentHashes) == 0 {
		return c.diff(plumbing.ZeroHash, commit.TreeHash)
	}
	var changes []change
	for i, p := range commit.ParentHashes {
		parent, err := c.commit(p)
		if err != nil {
			return nil, err
		}
		diff, err := c.diff(parent.TreeHash, commit.TreeHash)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			changes = diff
			continue
		}
		changes = inBoth(changes, diff)
	}
	return changes, nil
}

// inBoth keeps the changes whose path is in both lists, which are sorted.
func inBoth(a, b []change) (out []change) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].path < b[0].path:
			a = a[1:]
		case a[0].path > b[0].path:
			b = b[1:]
		default:
			out = append(out, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// verdicts collects, for overlays whose generated files are not what rendering gives, why that is.
type verdicts struct {
	open map[string]bool // not yet known
	held map[string]bool // a person undid what we wrote from these very sources
}

// judge finds the overlays to leave alone. It fetches older history as long as an answer needs it.
func (w *writer) judge(ctx context.Context, tip plumbing.Hash, overlays []string) (map[string]bool, error) {
	v := &verdicts{open: map[string]bool{}, held: map[string]bool{}}
	for _, o := range overlays {
		v.open[o] = true
	}
	for depth := 32; ; depth *= 16 {
		complete, err := w.search(tip, v)
		if err != nil {
			return nil, fmt.Errorf("look for reverts: %w", err)
		}
		if complete || len(v.open) == 0 || depth > maxHistory*16 {
			return v.held, nil
		}
		if _, err := w.remote.fetch(ctx, w.clone, min(depth, maxHistory)); err != nil {
			return nil, fmt.Errorf("look for reverts: %w", err)
		}
	}
}

// search goes back through the commits the clone has until every overlay has a verdict.
func (w *writer) search(tip plumbing.Hash, v *verdicts) (complete bool, err error) {
	head, err := w.clone.commit(tip)
	if err != nil {
		return false, err
	}
	return w.clone.log(tip, func(commit *object.Commit) (bool, error) {
		if len(v.open) == 0 {
			return false, nil
		}
		changes, err := w.clone.introduced(commit)
		if err != nil {
			return false, err
		}
		wrote, changed, err := w.classify(changes)
		if err != nil {
			return false, err
		}
		if !isOurs(commit) {
			for o := range changed {
				delete(v.open, o) // its sources changed after we wrote it, if ever we did
			}
			return true, nil
		}
		for o := range wrote {
			if !v.open[o] {
				continue
			}
			delete(v.open, o)
			if v.held[o], err = w.undone(o, commit.TreeHash, head.TreeHash); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// classify sorts changes by the overlays they reach: those of which they change generated files, and those of which they
// change sources. An overlay can be in both.
func (w *writer) classify(changes []change) (generated, source map[string]bool, err error) {
	generated, source = map[string]bool{}, map[string]bool{}
	for _, ch := range w.checkout.linked(changes) {
		w.sources.reached(ch.path, func(overlay string) {
			only, e := w.clone.onlyGenerated(overlay, ch)
			if e != nil {
				err = e
			}
			if only {
				generated[overlay] = true
			} else {
				source[overlay] = true
			}
		})
	}
	return generated, source, err
}

// undone reports whether an overlay has the sources it had in a commit of ours, but not the generated files.
func (w *writer) undone(overlay string, ours, now plumbing.Hash) (bool, error) {
	wrote, err := w.clone.generated(ours, overlay)
	if err != nil {
		return false, err
	}
	has, err := w.clone.generated(now, overlay)
	if err != nil || maps.Equal(wrote, has) {
		return false, err
	}
	for _, p := range w.sources.of[overlay] {
		changes, err := w.clone.diffAt(p, ours, now)
		if err != nil {
			return false, err
		}
		for _, ch := range changes {
			if only, err := w.clone.onlyGenerated(overlay, ch); err != nil || !only {
				return false, err
			}
		}
	}
	return true, nil
}
