package kustomize

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// outcome is what became of an overlay.
type outcome struct {
	result   Result
	err      error
	includes bool // another of those that are rendered, or the same again: nothing became of it yet
}

// All renders overlays, several at once, and yields what became of each in the order in which they are given. A result may be
// written as it comes: an overlay that includes another of them, or is given twice, is rendered only when its turn has come.
func (p *Pass) All(ctx context.Context, overlays []string) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var workers sync.WaitGroup
		defer workers.Wait()
		defer cancel()
		outcomes := make([]chan outcome, len(overlays))
		for i := range outcomes {
			outcomes[i] = make(chan outcome, 1)
		}
		a := among(overlays)
		var next atomic.Int64
		for range min(runtime.GOMAXPROCS(0), len(overlays)) {
			workers.Go(func() {
				for i := int(next.Add(1)) - 1; i < len(overlays) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
					outcomes[i] <- p.outcome(ctx, a, i, overlays[i])
				}
			})
		}
		for i, overlay := range overlays {
			var o outcome
			select {
			case o = <-outcomes[i]:
			case <-ctx.Done():
				o.err = ctx.Err()
			}
			if o.includes {
				o.result, o.err = Render(ctx, overlay, p.Options) // anew: what the pass has read may have been written since
			}
			if !yield(o.result, o.err) {
				return
			}
		}
	}
}

// outcome renders the ith overlay, unless it was given before. What came of one that turns out to include another is not used: that
// may have been written meanwhile.
func (p *Pass) outcome(ctx context.Context, a *inclusion, i int, overlay string) outcome {
	if a.first[a.dirs[i]] != i {
		return outcome{includes: true}
	}
	result, k, err := p.render(ctx, overlay)
	if k != nil && a.includes(a.dirs[i], k.root, map[string]bool{a.dirs[i]: true}) {
		return outcome{includes: true}
	}
	return outcome{result: result, err: err}
}

// inclusion finds overlays that are built from others.
type inclusion struct {
	dirs  []string       // of the overlays
	first map[string]int // of each directory
	known sync.Map       // whether what is included reaches an overlay, by its path
}

func among(overlays []string) *inclusion {
	a := &inclusion{first: map[string]int{}}
	for i, overlay := range overlays {
		dir, err := realPath(overlay)
		if err != nil {
			dir = overlay // which rendering it will complain about
		}
		a.dirs = append(a.dirs, dir)
		if _, known := a.first[dir]; !known {
			a.first[dir] = i
		}
	}
	return a
}

// includes reports whether the kustomization of a directory includes an overlay, itself or by what it includes.
func (a *inclusion) includes(dir string, kustomization *yaml.Node, seen map[string]bool) bool {
	if kustomization == nil {
		return false
	}
	return slices.ContainsFunc(namedBy(filepath.ToSlash(dir), kustomization, including...), func(name string) bool { return a.reaches(name, dir, seen) })
}

// leads reports whether a directory has a kustomization that includes an overlay.
func (a *inclusion) leads(dir string, seen map[string]bool) bool {
	if seen[dir] {
		return false
	}
	seen[dir] = true
	root, err := kustomizationOf(dir)
	return err == nil && a.includes(dir, root, seen)
}

// reaches reports whether what is included from dir is of another overlay, or leads to one.
func (a *inclusion) reaches(name, dir string, seen map[string]bool) bool {
	if found, known := a.known.Load(name); known {
		return found.(bool)
	}
	if _, overlay := a.first[dir]; overlay && name == filepath.Join(dir, entry) {
		return false // the generated files, which include nothing
	}
	base, err := filepath.EvalSymlinks(name) // an error: out of reach, or no path
	found := err == nil && base != dir && (a.holds(base, dir) || a.leads(base, seen))
	a.known.Store(name, found)
	return found
}

// holds reports whether a file or directory is, or is in, that of an overlay other than dir.
func (a *inclusion) holds(name, dir string) bool {
	for ; name != dir; name = filepath.Dir(name) {
		if _, is := a.first[name]; is {
			return true
		}
		if filepath.Dir(name) == name {
			return false
		}
	}
	return false
}

// kustomizationOf parses the kustomization of a directory; nil if it is empty.
func kustomizationOf(dir string) (*yaml.Node, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	content, err := readFile(os.DirFS(dir), kustomizationFile(entries))
	if err != nil {
		return nil, err
	}
	return parseMapping(content)
}
