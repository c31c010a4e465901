package kustomize

import (
	"iter"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Fields of a kustomization that name files and directories: by all their words, or by those of some keys within.
var (
	naming       = append([]string{"crds", "configurations", "openapi", "patchesStrategicMerge"}, including...)
	namingWithin = map[string][]string{
		"patches": {"path"}, "patchesJson6902": {"path"}, "replacements": {"path"},
		"configMapGenerator": {"files", "envs", "env"}, "secretGenerator": {"files", "envs", "env"},
	}
)

// paths goes through the words by which a kustomization names files and directories, with their fields. They are found by what they
// mean to kustomize, which reads the first document of several, takes a key in any case, follows aliases and merges mappings.
func paths(kustomization []byte) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		var doc yaml.Node
		if yaml.Unmarshal(kustomization, &doc) != nil || len(doc.Content) == 0 {
			return // kustomize will say so
		}
		for key, value := range meant(doc.Content[0]) {
			within := []string(nil)
			for field, keys := range namingWithin {
				if strings.EqualFold(field, key) {
					within = keys
				}
			}
			for n := range words(value, in(naming, key), within) {
				if !yield(key, n) {
					return
				}
			}
		}
	}
}

// words goes through the scalars of a node: all, or those below some keys.
func words(n *yaml.Node, all bool, keys []string) iter.Seq[*yaml.Node] {
	return func(yield func(*yaml.Node) bool) { eachWord(n, all, keys, yield) }
}

func eachWord(n *yaml.Node, all bool, keys []string, yield func(*yaml.Node) bool) bool {
	switch n = target(n); n.Kind {
	case yaml.ScalarNode:
		return !all || yield(decoded(n))
	case yaml.SequenceNode:
		return !slices.ContainsFunc(n.Content, func(e *yaml.Node) bool { return !eachWord(e, all, keys, yield) })
	case yaml.MappingNode:
		for key, value := range meant(n) {
			if !eachWord(value, all || in(keys, key), keys, yield) {
				return false
			}
		}
	}
	return true
}

// meant goes through the members of a mapping and of those that are merged into it.
func meant(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) { eachMember(n, yield) }
}

func eachMember(n *yaml.Node, yield func(string, *yaml.Node) bool) bool {
	n = target(n)
	if n.Kind == yaml.SequenceNode { // of mappings to be merged
		return !slices.ContainsFunc(n.Content, func(e *yaml.Node) bool { return !eachMember(e, yield) })
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key, value := decoded(target(n.Content[i])).Value, n.Content[i+1]
		if key == "<<" && !eachMember(value, yield) || key != "<<" && !yield(key, value) {
			return false
		}
	}
	return true
}

// target returns what an alias stands for. No file is read in which one stands for itself.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// decoded returns a scalar with its text, which may be written in base64.
func decoded(n *yaml.Node) *yaml.Node {
	if n.ShortTag() != "!!binary" {
		return n
	}
	text := *n
	if n.Decode(&text.Value) != nil {
		return n
	}
	return &text
}

// in reports whether a key is among others, in whatever case: encoding/json takes it for them.
func in(keys []string, key string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) })
}
