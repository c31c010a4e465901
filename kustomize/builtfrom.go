package kustomize

import (
	"io/fs"
	"path"
	"slices"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// builtFrom visits the YAML files that an overlay is built from, as far as they are in this repository: those of its directory
// and those that its kustomizations name, through bases and components. It stops when visit returns false.
func builtFrom(fsys fs.FS, overlay string, visit func(file string, content []byte) bool) {
	seen := map[string]bool{}
	todo := []string{overlay}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if seen[name] || !fs.ValidPath(name) {
			continue
		}
		seen[name] = true
		if entries, err := fs.ReadDir(fsys, name); err == nil {
			for _, e := range entries {
				if isYAML(e) || e.Name() == kustomizationFile(entries) {
					todo = append(todo, path.Join(name, e.Name()))
				}
			}
			continue
		}
		content, err := readFile(fsys, name)
		if err != nil {
			continue // no path after all, or nothing that can be read
		}
		if !visit(name, content) {
			return
		}
		if isKustomization(name) {
			todo = append(todo, named(path.Dir(name), content)...)
		}
	}
}

// isKustomization reports whether a file is a kustomization, of whatever directory.
func isKustomization(file string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(file))
}

// named returns the paths that a kustomization in dir may mean by its words, whether anything is there or not: by those of some
// fields, or by all.
func named(dir string, kustomization []byte, fields ...string) []string {
	root, err := parseMapping(kustomization)
	if err != nil || root == nil {
		return nil
	}
	return namedBy(dir, root, fields...)
}

// namedBy is named of a kustomization that is parsed.
func namedBy(dir string, root *yaml.Node, fields ...string) []string {
	var paths []string
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && n.Value != "" {
			paths = append(paths, path.Join(dir, n.Value))
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if len(fields) == 0 || slices.Contains(fields, root.Content[i].Value) {
			walk(root.Content[i+1])
		}
	}
	return paths
}
