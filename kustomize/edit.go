package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// listing is one of the lists of a kustomization, and what is ours in it: there as long as a generated file is.
type listing struct{ key, entry, file string }

// What an overlay's kustomization gains: the directory of the generated objects, and the file of the gates. The gates are
// applied after everything else the overlay does, so that its own patches meet its own objects, unchanged.
var (
	objectsListed = listing{"resources", entry, generatedKustomization}
	gatesListed   = listing{"transformers", entry + "/" + generatedGates, generatedGates}
)

// is reports whether an element of the list is ours, however it is spelled.
func (l listing) is(element string) bool {
	return path.Clean(strings.TrimSuffix(element, "/")) == l.entry
}

// edit returns the kustomization with our entry at the end of its list, exactly once, or without it. Every other byte stays as
// it is wherever that is possible: comments, order, blank lines, line ends. Where the file's form does not allow for it (the
// whole file as a flow mapping, say) it is written anew by kyaml, which keeps comments and order.
func (l listing) edit(content []byte, want bool) ([]byte, error) {
	root, err := parseMapping(content)
	if err != nil {
		return nil, err
	}
	if l.stands(root, want) {
		return content, nil
	}
	list := l.of(root)
	if edited := l.editText(content, list, want && l.count(list) == 0); edited != nil && l.sameButEntry(content, edited, want) {
		return edited, nil
	}
	return l.rewrite(content, want)
}

// stands reports whether our entry is there exactly once, or not at all, as wanted.
func (l listing) stands(root *yaml.Node, want bool) bool {
	have := l.count(l.of(root))
	return want && have == 1 || !want && have == 0
}

// count returns how many times our entry is in the list.
func (l listing) count(list *yaml.Node) int {
	have := 0
	if list != nil {
		for _, n := range list.Content {
			if l.is(n.Value) {
				have++
			}
		}
	}
	return have
}

// of returns the node of the list, nil if there is none.
func (l listing) of(root *yaml.Node) *yaml.Node {
	if root == nil {
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == l.key {
			return root.Content[i+1]
		}
	}
	return nil
}

// sameButEntry reports whether after says what before says but for our entry, which it holds as wanted.
func (l listing) sameButEntry(before, after []byte, want bool) bool {
	var a, b map[string]any
	if yaml.Unmarshal(before, &a) != nil || yaml.Unmarshal(after, &b) != nil {
		return false
	}
	was, _ := a[l.key].([]any)
	is, _ := b[l.key].([]any)
	was = slices.DeleteFunc(slices.Clone(was), l.ours)
	if want {
		was = append(was, l.entry)
	}
	delete(a, l.key)
	delete(b, l.key)
	return len(was) == len(is) && (len(is) == 0 || reflect.DeepEqual(was, is)) && (len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b))
}

func (l listing) ours(element any) bool {
	s, ok := element.(string)
	return ok && l.is(s)
}

// rewrite edits the tree and writes all of it. It fails where kyaml would lose a comment, other than one on an entry of ours.
func (l listing) rewrite(content []byte, want bool) ([]byte, error) {
	node, err := yaml.Parse(string(content))
	if err != nil {
		return nil, err
	}
	list, err := node.Pipe(yaml.LookupCreate(yaml.SequenceNode, l.key))
	if err != nil || list == nil {
		return nil, errors.Join(err, errors.New("yaml: want a mapping with a list of "+l.key))
	}
	list.YNode().Content = slices.DeleteFunc(list.YNode().Content, func(n *yaml.Node) bool { return l.is(n.Value) })
	said := comments(node.Document())
	if want {
		list.YNode().Content = append(list.YNode().Content, yaml.NewStringRNode(l.entry).YNode())
	}
	field := node.Field(l.key)
	if !want && len(list.YNode().Content)+len(comments(field.Key.YNode()))+len(comments(field.Value.YNode())) == 0 {
		if err := node.PipeE(yaml.Clear(l.key)); err != nil {
			return nil, err
		}
	}
	out, err := node.String()
	if err != nil {
		return nil, err
	}
	lost := func(comment string) bool { return !strings.Contains(out, comment) }
	if !l.sameButEntry(content, []byte(out), want) || slices.ContainsFunc(said, lost) {
		return nil, fmt.Errorf("yaml: the %s cannot be edited", l.key)
	}
	return likeBefore(content, out), nil
}

// likeBefore gives a text the line ends of another, and its byte order mark.
func likeBefore(before []byte, text string) []byte {
	const mark = "\ufeff"
	if lines := bytes.Count(before, []byte("\n")); lines > 0 && lines == bytes.Count(before, []byte("\r\n")) {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	}
	if bytes.HasPrefix(before, []byte(mark)) {
		text = mark + strings.TrimPrefix(text, mark)
	}
	return []byte(text)
}

// comments returns the lines of all comments of a node and what is within.
func comments(n *yaml.Node) []string {
	all := strings.FieldsFunc(n.HeadComment+"\n"+n.LineComment+"\n"+n.FootComment, func(r rune) bool { return r == '\n' })
	for _, c := range n.Content {
		all = append(all, comments(c)...)
	}
	return all
}
