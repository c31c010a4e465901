package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// entry is what an overlay's kustomization gains: the directory of the generated files.
const entry = "schemawave"

const localConfigAnnotation = konfig.IgnoredByKustomizeAnnotation

// kustomization is an overlay's own file, as far as it matters here.
type kustomization struct {
	file       string // relative to the repository's root
	content    []byte
	root       *yaml.Node // of the content; nil if that is empty
	namespace  string
	images     []types.Image // as kustomize is told to change them
	components []string      // directories, relative to its own
	resources  []field       // with the line of each
}

// kustomizationFile returns the name of the kustomization file among the entries of a directory, or "".
func kustomizationFile(entries []fs.DirEntry) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name && !e.IsDir() }) {
			return name
		}
	}
	return ""
}

// parseKustomization reads what matters; the rest is kustomize's to judge.
func parseKustomization(file string, content []byte) (*kustomization, error) {
	root, err := parseMapping(content)
	if err != nil {
		line, what := syntaxError(err)
		return nil, Problems{{file, line, what, "correct the YAML"}}
	}
	k := &kustomization{file: file, content: content, root: root}
	if root == nil {
		return k, nil
	}
	if problem := k.lost(); problem != nil {
		return nil, Problems{problem}
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		value := root.Content[i+1]
		switch root.Content[i].Value {
		case "namespace":
			_ = value.Decode(&k.namespace)
		case "images":
			_ = value.Decode(&k.images) // if it is wrong, kustomize will say so
		case "components":
			_ = value.Decode(&k.components)
		case "resources":
			if value.Kind != yaml.SequenceNode && value.ShortTag() != "!!null" {
				return nil, Problems{{file, root.Content[i].Line, "resources: want a list, have " + describe(value), "write each on a line of its own, after a hyphen"}}
			}
			for _, n := range value.Content {
				k.resources = append(k.resources, field{n, n.Value, n.Line})
			}
		}
	}
	return k, nil
}

// lost returns the problem with a list of ours that kustomize would drop in silence: it takes the last of those by one name, in
// whatever case.
func (k *kustomization) lost() *Problem {
	for _, l := range []listing{objectsListed, gatesListed} {
		first := 0
		for i := 0; i < len(k.root.Content); i += 2 {
			switch key := k.root.Content[i]; {
			case !strings.EqualFold(key.Value, l.key):
			case key.Value != l.key:
				return &Problem{k.file, key.Line, fmt.Sprintf("%s: kustomize takes it for %s, of which it reads one", key.Value, l.key), "write it " + l.key}
			case first > 0:
				return &Problem{k.file, key.Line, fmt.Sprintf("%s: given twice, first in line %d, and kustomize reads the last", l.key, first), "make one list of them"}
			default:
				first = key.Line
			}
		}
	}
	return nil
}

// parseMapping returns the mapping a file consists of; nil if it is empty.
func parseMapping(content []byte) (*yaml.Node, error) {
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, fmt.Errorf("yaml: line %d: want one document, have several", more.Line))
	}
	if doc.Kind == 0 || len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
		return nil, nil
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("yaml: line %d: want a mapping, have %s", doc.Content[0].Line, describe(doc.Content[0]))
	}
	return doc.Content[0], nil
}

// lists returns the line at which the kustomization lists a path relative to it, 0 if it does not.
func (k *kustomization) lists(name string) int {
	for _, r := range k.resources {
		if path.Clean(r.path) == name {
			return r.line
		}
	}
	return 0
}
