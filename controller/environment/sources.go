package environment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// sources knows which paths each overlay is rendered from, so that a change finds the overlays it can reach. It errs on
// the side of more: whatever in a kustomization or another YAML file looks like a path out of its directory counts.
type sources struct {
	of map[string][]string            // overlay -> the files and directories it depends on
	by map[string]map[string]struct{} // such a path -> overlays
}

func newSources() *sources {
	return &sources{of: map[string][]string{}, by: map[string]map[string]struct{}{}}
}

// learn reads anew what the overlay depends on.
func (s *sources) learn(root fs.FS, overlay string) {
	s.forget(overlay)
	paths := reach(root, overlay)
	s.of[overlay] = paths
	for _, p := range paths {
		if s.by[p] == nil {
			s.by[p] = map[string]struct{}{}
		}
		s.by[p][overlay] = struct{}{}
	}
}

func (s *sources) forget(overlay string) {
	for _, p := range s.of[overlay] {
		delete(s.by[p], overlay)
		if len(s.by[p]) == 0 {
			delete(s.by, p)
		}
	}
	delete(s.of, overlay)
}

// reached calls found for each overlay that depends on the file at a path.
func (s *sources) reached(file string, found func(overlay string)) {
	for p := file; ; p = path.Dir(p) {
		for overlay := range s.by[p] {
			found(overlay)
		}
		if p == "." {
			return
		}
	}
}

// reach lists the paths an overlay depends on: its directory, and what its kustomizations and other YAML files name
// outside of it, through bases and components. Where a kustomization cannot be read it is the whole repository.
func reach(root fs.FS, overlay string) []string {
	paths := []string{overlay}
	todo, seen := []string{overlay}, map[string]bool{overlay: true}
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		names, err := named(root, dir)
		if err != nil {
			return []string{"."}
		}
		for _, name := range names {
			if name == ".." || strings.HasPrefix(name, "../") || seen[name] {
				continue
			}
			seen[name] = true
			if !slices.ContainsFunc(paths, func(dir string) bool { return within(name, dir) }) {
				paths = append(paths, name)
			}
			if info, err := fs.Stat(root, name); err == nil && info.IsDir() {
				todo = append(todo, name)
			}
		}
	}
	slices.Sort(paths)
	return paths
}

// within reports whether a path is dir or below it.
func within(name, dir string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}

// named lists the paths that the YAML files of one directory name: of a kustomization everything that is there or leads
// out of the directory, of other files only the latter.
func named(root fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		kustomization := slices.Contains(kustomizationNames, e.Name())
		if ext := path.Ext(e.Name()); !kustomization && ext != ".yaml" && ext != ".yml" {
			continue
		}
		if e.IsDir() {
			continue
		}
		content, err := readSource(root, path.Join(dir, e.Name()))
		if err != nil {
			if kustomization {
				return nil, err
			}
			continue // a link that leads nowhere, or what no render reads
		}
		if !kustomization && !bytes.Contains(content, []byte("..")) {
			continue
		}
		words, err := scalars(content)
		if err != nil && kustomization {
			return nil, err
		}
		for _, w := range words {
			out = appendPath(out, root, dir, w, kustomization)
		}
	}
	return out, nil
}

// maxSource is how many bytes a file may hold to be looked into. Package kustomize refuses larger ones.
const maxSource = 16 << 20

func readSource(root fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(root, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSource {
		return nil, fmt.Errorf("%s holds %d bytes", name, info.Size())
	}
	return fs.ReadFile(root, name)
}

// appendPath adds the path that a word of a YAML file in dir can mean, also as the right side of key=path.
func appendPath(out []string, root fs.FS, dir, word string, kustomization bool) []string {
	_, right, _ := strings.Cut(word, "=")
	for _, w := range []string{word, right} {
		if w == "" || path.IsAbs(w) || len(w) > 1024 || strings.ContainsAny(w, "\n\x00") {
			continue
		}
		p := path.Join(dir, w)
		if strings.Contains(w, "..") {
			out = append(out, p)
			continue
		}
		if kustomization && w != "." {
			if _, err := fs.Stat(root, p); err == nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// scalars lists the strings of all documents of a YAML file.
func scalars(content []byte) ([]string, error) {
	var out []string
	for dec := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, err
		}
		var visit func(*yaml.Node)
		visit = func(n *yaml.Node) {
			if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
				out = append(out, n.Value)
			}
			for _, c := range n.Content {
				visit(c)
			}
		}
		visit(&doc)
	}
}

// linked adds to the changed paths those under which they are also reached through symbolic links, so that a
// dependency on the link sees a change of what it leads to.
func (k *checkout) linked(changes []change) []change {
	if len(k.links) == 0 {
		return changes
	}
	seen := make(map[change]struct{}, len(changes))
	for _, ch := range changes {
		seen[ch] = struct{}{}
	}
	for range 3 { // links to links, as deep as anybody sane builds
		n := len(changes)
		for name, target := range k.links {
			target = path.Join(path.Dir(name), target)
			for _, ch := range changes[:n] {
				if within(ch.path, target) && !within(ch.path, name) {
					ch.path = path.Join(name, strings.TrimPrefix(ch.path, target))
					if _, known := seen[ch]; !known {
						seen[ch] = struct{}{}
						changes = append(changes, ch)
					}
				}
			}
		}
		if len(changes) == n {
			break
		}
	}
	return changes
}

// fs returns the checkout for reading; links that lead out of it are errors.
func (k *checkout) fs() fs.FS { return k.root.FS() }
