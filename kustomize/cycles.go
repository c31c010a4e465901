package kustomize

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/schemawave/schemawave/manifests"
)

// step is what a sync does on the way to its migrations: one of them, or something of the team's own that is applied before one and
// waits for schemas. It waits for all earlier steps of its overlay, and for the schemas of others it says.
type step struct {
	name   string // as people call it
	file   string
	line   int
	schema manifests.Target // that it makes ready; zero if it is no migration
	at     moment
	waits  []manifests.Target
	within *[]step // the steps of its overlay
}

// noCycles refuses Applications that wait for each other. That a workload waits for the schema of an Application which waits for
// the workload's own is no cycle: workloads are applied when the migrations of their own Application are done. Only an overlay
// that waits for others has the rest of the repository read.
func (w *work) noCycles(gates []gate) error {
	mine := append(steps(w.declarations), w.gatedSteps(gates)...)
	if !slices.ContainsFunc(mine, func(s step) bool { return len(s.waits) > 0 }) {
		return nil
	}
	others, err := w.waiting()
	if err != nil {
		return err
	}
	for i := range mine {
		mine[i].within = &mine
	}
	s := search{overlay: w.overlay, mine: mine, others: others.makes, done: map[*step]bool{}}
	for i := range mine {
		if cycle := s.visit(&mine[i]); cycle != nil {
			return Problems{{cycle[0].file, cycle[0].line, "Applications wait for each other: " + tell(cycle), "take one of these out: none of them could ever begin"}}
		}
	}
	return nil
}

// steps returns the migrations of an overlay.
func steps(declarations []*declaration) []step {
	var all []step
	for _, d := range declarations {
		all = append(all, step{
			name: d.Environment + "/" + d.Name, file: d.file, line: d.line("spec.dependsOn"),
			schema: manifests.Target{Environment: d.Environment, Database: d.Name}, at: d.moment(), waits: d.Waits(),
		})
	}
	return all
}

// gatedSteps returns the gated workloads that come before a migration. The others are applied when all migrations of their
// Application are done.
func (w *work) gatedSteps(gates []gate) []step {
	var all []step
	for _, g := range gates {
		at := momentOf(g.Resource)
		if !slices.ContainsFunc(w.declarations, func(d *declaration) bool { return at.before(d.moment()) }) {
			continue
		}
		what := "the workload "
		if at.phase == preSync {
			what = "the hook "
		}
		file, line := w.annotated(g.GetAnnotations()[manifests.AnnotationWaitFor])
		if file == "" {
			file = w.kustomization.file
		}
		all = append(all, step{name: what + g.String(), file: file, line: line, at: at, waits: g.targets})
	}
	return all
}

// waiting are the migrations of a repository that may wait for others.
type waiting struct {
	makes map[manifests.Target][]*step // by the schema that they make ready
	err   error                        // why they could not be read
}

// waiting reads the migrations of the overlays that may wait, once in a pass: else each of many that wait would read the whole
// repository. What is wrong with them is for their own render to say.
func (w *work) waiting() (*waiting, error) {
	w.pass.mu.Lock()
	defer w.pass.mu.Unlock()
	if found := w.pass.waiting[w.dir]; found != nil {
		return found, found.err
	}
	found := &waiting{makes: map[manifests.Target][]*step{}}
	if w.pass.waiting == nil {
		w.pass.waiting = map[string]*waiting{}
	}
	w.pass.waiting[w.dir] = found
	var overlays []string
	overlays, found.err = w.depending()
	for _, overlay := range overlays {
		other := &repository{tree: w.tree, dir: w.dir, overlay: overlay}
		k, err := other.kustomization()
		if err != nil {
			continue
		}
		declarations, err := other.declarations(k)
		if err != nil {
			continue
		}
		of := steps(declarations)
		for i := range of {
			of[i].within = &of
			found.makes[of[i].schema] = append(found.makes[of[i].schema], &of[i])
		}
	}
	return found, found.err
}

// depending lists the directories that have a SchemaMigration which depends on another, without parsing any: one that depends on
// none holds up nobody for ever.
func (w *work) depending() ([]string, error) {
	var found []string
	fsys := os.DirFS(w.dir)
	err := fs.WalkDir(fsys, ".", func(file string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == ".git":
			return fs.SkipDir
		case !isYAML(e):
			return nil
		}
		content, err := readFile(fsys, file)
		if err == nil && mentions(content) && bytes.Contains(content, []byte("dependsOn")) && !slices.Contains(found, path.Dir(file)) {
			found = append(found, path.Dir(file))
		}
		return nil // what cannot be read is no overlay's
	})
	return found, err
}

// search looks for a cycle by going on from each step to all it waits for.
type search struct {
	overlay string // whose steps are mine, and not among the others
	mine    []step
	others  map[manifests.Target][]*step // by the schema that they make ready
	path    []*step
	done    map[*step]bool
}

func (s *search) visit(at *step) []*step {
	if i := slices.Index(s.path, at); i >= 0 {
		return s.path[i:]
	}
	if s.done[at] {
		return nil
	}
	s.path = append(s.path, at)
	for _, next := range s.before(at) {
		if cycle := s.visit(next); cycle != nil {
			return cycle
		}
	}
	s.path = s.path[:len(s.path)-1]
	s.done[at] = true
	return nil
}

// before returns the steps that one waits for.
func (s *search) before(at *step) []*step {
	var found []*step
	for _, t := range at.waits {
		for _, other := range s.others[manifests.Target{Environment: t.Environment, Database: t.Database}] {
			if path.Dir(other.file) != s.overlay {
				found = append(found, other)
			}
		}
	}
	for i := range s.mine {
		if waitsOn(at, &s.mine[i]) {
			found = append(found, &s.mine[i])
		}
	}
	for i := range *at.within {
		if next := &(*at.within)[i]; next.at.before(at.at) {
			found = append(found, next)
		}
	}
	return found
}

// waitsOn reports whether a step says that it waits for the schema of another.
func waitsOn(s, other *step) bool {
	return slices.ContainsFunc(s.waits, func(t manifests.Target) bool {
		return t.Environment == other.schema.Environment && t.Database == other.schema.Database
	})
}

// tell names a cycle's steps, each with its place and what makes it wait for the next.
func tell(cycle []*step) string {
	var b strings.Builder
	for i, s := range cycle {
		next := cycle[(i+1)%len(cycle)]
		how := "comes after"
		if waitsOn(s, next) {
			how = "waits for"
		}
		at := s.file
		if s.line > 0 {
			at = fmt.Sprintf("%s:%d", s.file, s.line)
		}
		fmt.Fprintf(&b, "%s (%s) %s ", s.name, at, how)
	}
	return b.String() + cycle[0].name
}
