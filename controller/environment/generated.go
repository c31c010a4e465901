package environment

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"gopkg.in/yaml.v3"
)

// generatedDir is the directory below an overlay that holds nothing but generated files.
const generatedDir = "schemawave"

// kustomizationNames are the names kustomize accepts.
var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// generatedPaths are what rendering may change in an overlay; nothing else is ever committed.
func generatedPaths(overlay string) []string {
	paths := []string{path.Join(overlay, generatedDir)}
	for _, name := range kustomizationNames {
		paths = append(paths, path.Join(overlay, name))
	}
	return paths
}

// isKustomization reports whether the file is a kustomization, of whatever directory.
func isKustomization(file string) bool { return slices.Contains(kustomizationNames, path.Base(file)) }

// written lists what rendering made of an overlay's generated paths, compared with the tree.
func (k *checkout) written(c *clone, overlay string) ([]edit, error) {
	held, err := c.generated(k.tree, overlay)
	if err != nil {
		return nil, err
	}
	var edits []edit
	take := func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := k.root.ReadFile(name)
		if err != nil {
			return err
		}
		was := held[name]
		delete(held, name)
		if plumbing.ComputeHash(plumbing.BlobObject, content) == was.hash {
			return nil
		}
		mode := was.mode
		if mode != filemode.Executable {
			mode = filemode.Regular
		}
		edits = append(edits, edit{name, content, mode})
		return nil
	}
	for _, p := range generatedPaths(overlay) {
		if err := fs.WalkDir(k.root.FS(), p, take); err != nil {
			return nil, err
		}
	}
	for name := range held {
		edits = append(edits, edit{path: name})
	}
	slices.SortFunc(edits, func(a, b edit) int { return strings.Compare(a.path, b.path) })
	return edits, nil
}

// noLinks makes sure that what is written into an overlay ends up there: a link at one of the generated paths would have
// it written elsewhere.
func (k *checkout) noLinks(overlay string) error {
	for _, p := range generatedPaths(overlay) {
		info, err := k.root.Lstat(p)
		if err != nil {
			continue // nothing is there
		}
		if info.Mode().IsRegular() {
			continue
		}
		err = fs.WalkDir(k.root.FS(), p, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&fs.ModeSymlink != 0 || info.Mode()&fs.ModeSymlink != 0 {
				return fmt.Errorf("%s: generated files cannot be links: remove it", name)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// restore undoes what rendering wrote into an overlay.
func (k *checkout) restore(c *clone, overlay string) error {
	edits, err := k.written(c, overlay)
	if err != nil {
		return fmt.Errorf("restore %s: %w", overlay, err)
	}
	for _, e := range edits {
		was, err := c.lookup(k.tree, e.path)
		if err != nil {
			return fmt.Errorf("restore %s: %w", e.path, err)
		}
		if was.exists() {
			err = k.write(c, e.path, was)
		} else {
			err = k.remove(e.path)
		}
		if err != nil {
			return fmt.Errorf("restore %s: %w", e.path, err)
		}
	}
	return nil
}

// generated returns the files of a tree at the overlay's generated paths.
func (c *clone) generated(tree plumbing.Hash, overlay string) (map[string]entry, error) {
	files := map[string]entry{}
	for _, p := range generatedPaths(overlay) {
		e, err := c.lookup(tree, p)
		if err != nil {
			return nil, err
		}
		if !e.isDir() {
			if e.exists() {
				files[p] = e
			}
			continue
		}
		var below []change
		if err := c.walk(p+"/", entry{}, e, &below); err != nil {
			return nil, err
		}
		for _, ch := range below {
			files[ch.path] = ch.to
		}
	}
	return files, nil
}

// onlyGenerated reports whether a change to the overlay's own files leaves its sources as they were: it is below the
// generated directory, or to a kustomization that differs only in naming that directory.
func (c *clone) onlyGenerated(overlay string, ch change) (bool, error) {
	if strings.HasPrefix(ch.path, path.Join(overlay, generatedDir)+"/") {
		return true, nil
	}
	if path.Dir(ch.path) != path.Clean(overlay) || !isKustomization(ch.path) {
		return false, nil
	}
	if ch.from.mode != ch.to.mode {
		return false, nil
	}
	from, err := c.blob(ch.from.hash)
	if err != nil {
		return false, err
	}
	to, err := c.blob(ch.to.hash)
	if err != nil {
		return false, err
	}
	return bytes.Equal(withoutOurs(from), withoutOurs(to)), nil
}

// withoutOurs returns a kustomization as its author wrote it, in a normal form: without the entries that rendering adds
// for the generated directory and a file in it, and without what that leaves empty. What is no YAML is returned as it is.
func withoutOurs(kustomization []byte) []byte {
	var doc map[string]any
	if yaml.Unmarshal(kustomization, &doc) != nil {
		return kustomization
	}
	for _, field := range []string{"resources", "components", "transformers"} {
		list, ok := doc[field].([]any)
		if !ok {
			if doc[field] == nil {
				delete(doc, field)
			}
			continue
		}
		list = slices.DeleteFunc(list, func(v any) bool {
			s, _ := v.(string)
			return within(path.Clean(s), generatedDir)
		})
		doc[field] = list
		if len(list) == 0 {
			delete(doc, field)
		}
	}
	out, err := yaml.Marshal(doc)
	if err != nil {
		return kustomization
	}
	return out
}

// ownedBy lists the overlays of which a file would be a generated one.
func ownedBy(file string) (overlays []string) {
	if isKustomization(file) {
		overlays = append(overlays, path.Dir(file))
	}
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if path.Base(dir) == generatedDir {
			overlays = append(overlays, path.Dir(dir))
		}
	}
	return overlays
}
