package kustomize

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// document is a YAML document that is read strictly: what is not expected is a problem with its line.
type document struct {
	file     string
	lines    map[string]int // of each field seen, by path
	wrong    []string       // the paths of fields that were complained about
	problems *Problems
}

// field is a node and the path that leads to it, "spec.database.env[0]".
type field struct {
	node *yaml.Node
	path string
	line int // of the key, for a member
}

func (d *document) add(f field, what, remedy string) {
	if d.problems.full() {
		return
	}
	if f.path != "" {
		what = f.path + ": " + what
	}
	d.wrong = append(d.wrong, f.path)
	d.problems.add(d.file, f.line, what, remedy)
}

// complained reports whether path, or something around or within it, was complained about: once is enough.
func (d *document) complained(path string) bool {
	return slices.ContainsFunc(d.wrong, func(w string) bool {
		return w == path || within(w, path) || within(path, w)
	})
}

// within reports whether path leads to something inside of outer.
func within(path, outer string) bool {
	return strings.HasPrefix(path, outer) && len(path) > len(outer) && (outer == "" || path[len(outer)] == '.' || path[len(outer)] == '[')
}

// line returns where path stands, or the nearest field around it that does.
func (d *document) line(path string) int {
	for {
		if n, ok := d.lines[path]; ok || path == "" {
			return n
		}
		path = parent(path)
	}
}

func parent(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return path[:i]
		}
	}
	return ""
}

// members calls known[key] for each member of a mapping. Unknown and repeated keys, and a node that is no mapping, are problems.
func (d *document) members(f field, known map[string]func(field)) {
	d.each(f, func(key string, m field) {
		read, ok := known[key]
		if !ok && d.problems.full() {
			return
		}
		if !ok {
			d.add(m, "unknown field", didYouMean(key, known))
			return
		}
		read(m)
	})
}

// each calls visit for each member of a mapping, once for each key.
func (d *document) each(f field, visit func(key string, m field)) {
	if f.node.Kind != yaml.MappingNode {
		d.add(f, "want a mapping, have "+describe(f.node), "write it as key: value")
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(f.node.Content); i += 2 {
		key := f.node.Content[i]
		m := field{f.node.Content[i+1], join(f.path, key.Value), key.Line}
		if key.Kind != yaml.ScalarNode {
			d.add(field{key, f.path, key.Line}, "a key that is "+describe(key), "use a plain word")
			continue
		}
		if line, twice := first[key.Value]; twice {
			d.add(m, fmt.Sprintf("given twice, first in line %d", line), "keep one of them")
			continue
		}
		first[key.Value] = key.Line
		d.lines[m.path] = key.Line
		if m.node.Kind == yaml.AliasNode {
			d.add(m, "an alias", "write the value out")
			continue
		}
		visit(key.Value, m)
	}
}

// elements returns the members of a list.
func (d *document) elements(f field) []field {
	if f.node.Kind != yaml.SequenceNode {
		d.add(f, "want a list, have "+describe(f.node), "write each element on a line of its own, after a hyphen")
		return nil
	}
	var out []field
	for i, n := range f.node.Content {
		e := field{n, fmt.Sprintf("%s[%d]", f.path, i), n.Line}
		d.lines[e.path] = n.Line
		if n.Kind == yaml.AliasNode {
			d.add(e, "an alias", "write the value out")
			continue
		}
		out = append(out, e)
	}
	return out
}

// text reads a string.
func (d *document) text(into *string) func(field) {
	return func(f field) {
		if f.node.Kind != yaml.ScalarNode || f.node.ShortTag() != "!!str" {
			d.add(f, "want a string, have "+describe(f.node), "write a word, in quotes if it looks like a number")
			return
		}
		*into = f.node.Value
	}
}

// texts reads a list of strings.
func (d *document) texts(into *[]string) func(field) {
	return func(f field) {
		for _, e := range d.elements(f) {
			var s string
			d.text(&s)(e)
			*into = append(*into, s)
		}
	}
}

// integer reads a whole number of 32 bits.
func (d *document) integer(into **int32) func(field) {
	return func(f field) {
		n, err := strconv.ParseInt(f.node.Value, 10, 32)
		if f.node.Kind != yaml.ScalarNode || f.node.ShortTag() != "!!int" || err != nil {
			d.add(f, "want a whole number, have "+describe(f.node), "write digits, without quotes")
			return
		}
		*into = new(int32(n))
	}
}

// json returns a subtree as JSON values. Numbers keep their digits.
func (d *document) json(f field) any {
	switch f.node.Kind {
	case yaml.MappingNode:
		o := map[string]any{}
		d.each(f, func(key string, m field) { o[key] = d.json(m) })
		return o
	case yaml.SequenceNode:
		a := []any{}
		for _, e := range d.elements(f) {
			a = append(a, d.json(e))
		}
		return a
	}
	switch f.node.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var v bool
		if f.node.Decode(&v) == nil {
			return v
		}
	case "!!int":
		var v int64
		if f.node.Decode(&v) == nil {
			return v
		}
	case "!!float":
		var v float64
		if f.node.Decode(&v) == nil {
			if _, err := json.Marshal(v); err == nil {
				return v
			}
		}
	case "!!str", "!!timestamp":
		return f.node.Value
	}
	d.add(f, "a value that JSON does not have: "+describe(f.node), "write it as a string, in quotes")
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// describe says what a node is, without its value: it may be a secret in the wrong place.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!str":
		return "a string"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	}
	return "a " + n.ShortTag()
}
