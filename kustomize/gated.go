package kustomize

import (
	"bytes"
	"io/fs"
	"path"
	"strings"

	"github.com/schemawave/schemawave/manifests"
)

// gated finds the overlays that are built from annotated workloads. Paths are relative to where it looks.
type gated struct {
	fsys           fs.FS
	kustomizations map[string]string // the file of each directory that has one
	annotated      map[string]bool   // files that speak of the annotation
}

// Annotates reports whether a file of a repository speaks of the annotation by which workloads wait: a manifest, or a patch, which may
// be in JSON. Where one does, Overlays finds others than those that have a SchemaMigration, wherever they are.
func Annotates(fsys fs.FS, file string) bool {
	if !maySpeak(file) {
		return false
	}
	content, err := readFile(fsys, file)
	return err == nil && annotates(content)
}

// maySpeak reports whether a file by that name is one that is looked into for the annotation.
func maySpeak(file string) bool {
	return isManifest(file) || path.Ext(file) == ".json" || isKustomization(file)
}

// annotates reports whether a text speaks of the annotation, also as JSON may write it, or as a path of a JSON patch.
func annotates(text []byte) bool {
	for _, slash := range []string{"/", `\/`, "~1"} {
		if bytes.Contains(text, []byte(strings.ReplaceAll(manifests.AnnotationWaitFor, "/", slash))) {
			return true
		}
	}
	return false
}

// including are the fields by which a kustomization takes in other directories. A word elsewhere may be called as a directory
// is, a namespace for instance, and does not mean it.
var including = []string{"resources", "bases", "components", "generators", "transformers", "validators"}

// overlays lists the directories whose kustomization reaches an annotation and is included by no other. Where nothing is
// annotated, it costs nothing.
func (g *gated) overlays() []string {
	if len(g.annotated) == 0 {
		return nil
	}
	names := map[string][]string{} // what each kustomization names, of what is of interest
	included := map[string]bool{}
	for dir, file := range g.kustomizations {
		content, err := readFile(g.fsys, file)
		if err != nil {
			continue
		}
		if bytes.Contains(content, []byte("kind: Component")) {
			included[dir] = true // even if by nobody: it cannot be built alone
		}
		for _, name := range named(dir, content) {
			if g.annotated[name] {
				names[dir] = append(names[dir], name)
			}
		}
		for _, name := range named(dir, content, including...) {
			if g.kustomizations[name] != "" && name != dir {
				names[dir] = append(names[dir], name)
				included[name] = true
			}
		}
	}
	for file := range g.annotated {
		if dir := g.owner(file); dir != "" {
			names[dir] = append(names[dir], file)
		}
	}
	var found []string
	for dir := range g.kustomizations {
		if !included[dir] && g.reaches(dir, names, map[string]bool{}) {
			found = append(found, dir)
		}
	}
	return found
}

// owner returns the nearest directory around a file that has a kustomization; "" if there is none.
func (g *gated) owner(file string) string {
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		if g.kustomizations[dir] != "" {
			return dir
		}
		if dir == "." || strings.HasPrefix(dir, "..") {
			return ""
		}
	}
}

// reaches reports whether an annotated file is among what name leads to.
func (g *gated) reaches(name string, names map[string][]string, seen map[string]bool) bool {
	if g.annotated[name] {
		return true
	}
	if seen[name] {
		return false
	}
	seen[name] = true
	for _, next := range names[name] {
		if g.reaches(next, names, seen) {
			return true
		}
	}
	return false
}
