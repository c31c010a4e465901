package kustomize

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
)

// Result is what a render found to be different from what it should be. The zero value means nothing.
type Result struct {
	Root     string // of the repository: absolute
	Files    []File // those that differ, by path
	warnings Problems
	built    built // the overlay with it, if Options.Yield asked for it
}

// File is a file before and after.
type File struct {
	Path   string // relative to Root, with slashes
	Before []byte // nil: it is not there
	After  []byte // nil: it is to be removed
}

// Warnings tells what works and will surprise, each as "file:line: what (remedy)".
func (r Result) Warnings() []string {
	var all []string
	for _, w := range r.warnings {
		all = append(all, w.Error())
	}
	return all
}

// Changed reports whether Write has anything to do.
func (r Result) Changed() bool { return len(r.Files) > 0 }

// YAML returns the objects that the overlay yields with the result, as kustomize build prints them once it is written. The
// values in Secrets are in it. Options.Yield must have asked for it.
func (r Result) YAML() ([]byte, error) {
	var b bytes.Buffer
	for i, o := range r.built {
		content, err := o.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("write %s %s as YAML: %w", o.GetKind(), o.GetName(), err)
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(content)
	}
	return b.Bytes(), nil
}

// compare lists the differences between what is there and what should be.
func (r *repository) compare(k *kustomization, edited []byte, found, wanted map[string][]byte) Result {
	result := Result{Root: r.dir}
	add := func(p string, before, after []byte) {
		if before == nil || after == nil || !bytes.Equal(before, after) {
			result.Files = append(result.Files, File{p, before, after})
		}
	}
	add(k.file, k.content, edited)
	names := map[string]bool{}
	for name := range found {
		names[name] = true
	}
	for name := range wanted {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		add(path.Join(r.in(entry), name), found[name], wanted[name])
	}
	return result
}

// Diff returns the differences as a unified diff, the values in Secrets hidden.
func (r Result) Diff() string {
	var b bytes.Buffer
	for _, f := range r.Files {
		before, after := f.Before, f.After
		if isSecret(before) || isSecret(after) {
			before, after = hide(before, after)
		}
		oldName, newName := "a/"+f.Path, "b/"+f.Path
		if f.Before == nil {
			oldName = "/dev/null"
		}
		if f.After == nil {
			newName = "/dev/null"
		}
		d := diff.Diff(oldName, before, newName, after)
		if i := bytes.IndexByte(d, '\n'); i >= 0 {
			d = d[i+1:] // its first line repeats the names
		}
		b.Write(d)
	}
	return b.String()
}

func isSecret(content []byte) bool { return bytes.Contains(content, []byte("\nkind: Secret\n")) }

// hide replaces the values of a Secret, which stand below its data, so that only whether they differ can be seen.
func hide(before, after []byte) ([]byte, []byte) {
	const hidden = "  (values hidden)\n"
	mark := func(content []byte, as string) []byte {
		for _, key := range []string{"\ndata:\n", "\nstringData:\n"} {
			if i := bytes.Index(content, []byte(key)); i >= 0 {
				return slices.Concat(content[:i+len(key)], []byte(as))
			}
		}
		return content
	}
	if bytes.Equal(values(before), values(after)) {
		return mark(before, hidden), mark(after, hidden)
	}
	return mark(before, "  (values hidden, before)\n"), mark(after, "  (values hidden, after)\n")
}

// values returns what hide hides.
func values(content []byte) []byte {
	for _, key := range []string{"\ndata:\n", "\nstringData:\n"} {
		if i := bytes.Index(content, []byte(key)); i >= 0 {
			return content[i:]
		}
	}
	return nil
}
