package kustomize

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// documents calls visit for each document of a file that is not empty, until it returns false.
func documents(content []byte, visit func(*yaml.Node) bool) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		switch err := decoder.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil || len(doc.Content) != 1 || indirect(doc.Content[0]):
			return false
		case doc.Content[0].ShortTag() != "!!null" && !visit(doc.Content[0]):
			return false
		}
	}
}

// indirect reports whether a node does not mean what its words say: by an alias, a tag, another mapping that is merged in, or a key
// that is given again.
func indirect(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Style&yaml.TaggedStyle != 0 {
		return true
	}
	if n.Kind == yaml.MappingNode && (member(n, "<<") != nil || repeated(n) != nil) {
		return true
	}
	return slices.ContainsFunc(n.Content, indirect)
}

// repeated returns the first key of a mapping that it has already; nil if there is none.
func repeated(n *yaml.Node) *yaml.Node {
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		if key := n.Content[i]; !seen[key.Value] {
			seen[key.Value] = true
		} else {
			return key
		}
	}
	return nil
}

// pairs goes through the members of a mapping.
func pairs(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

// member returns a member of a mapping; nil if it is not there, or n is no mapping.
func member(n *yaml.Node, key string) *yaml.Node {
	for k, value := range pairs(n) {
		if k == key {
			return value
		}
	}
	return nil
}

// only reports whether n is a mapping with no other members than these.
func only(n *yaml.Node, keys ...string) bool {
	for k := range pairs(n) {
		if !slices.Contains(keys, k) {
			return false
		}
	}
	return n.Kind == yaml.MappingNode
}

// each reports whether n is a list, or nothing, and ok is true of each of its elements.
func each(n *yaml.Node, ok func(*yaml.Node) bool) bool {
	if n.Kind != yaml.SequenceNode {
		return n.ShortTag() == "!!null"
	}
	return !slices.ContainsFunc(n.Content, func(e *yaml.Node) bool { return !ok(e) })
}
