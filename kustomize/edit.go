package kustomize

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// withEntry returns the kustomization with our entry at the end of its resources, exactly once, or without it. Every other
// byte stays as it is wherever that is possible: comments, order, blank lines, line ends. Where the file's form does not
// allow for it (the whole file as a flow mapping, say) it is written anew by kyaml, which keeps comments and order.
func withEntry(content []byte, want bool) ([]byte, error) {
	root, err := parseMapping(content)
	if err != nil {
		return nil, err
	}
	list := resourcesOf(root)
	have := 0
	if list != nil {
		for _, n := range list.Content {
			if isEntry(n.Value) {
				have++
			}
		}
	}
	if want && have == 1 || !want && have == 0 {
		return content, nil
	}
	if edited := edit(content, list, want && have == 0); edited != nil && sameButEntry(content, edited, want) {
		return edited, nil
	}
	return rewrite(content, want)
}

// resourcesOf returns the node of the resources, nil if there are none.
func resourcesOf(root *yaml.Node) *yaml.Node {
	if root == nil {
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "resources" {
			return root.Content[i+1]
		}
	}
	return nil
}

// sameButEntry reports whether after says what before says but for our entry, which it holds as wanted.
func sameButEntry(before, after []byte, want bool) bool {
	var a, b map[string]any
	if yaml.Unmarshal(before, &a) != nil || yaml.Unmarshal(after, &b) != nil {
		return false
	}
	was, _ := a["resources"].([]any)
	is, _ := b["resources"].([]any)
	was = slices.DeleteFunc(slices.Clone(was), ours)
	if want {
		was = append(was, entry)
	}
	delete(a, "resources")
	delete(b, "resources")
	return len(was) == len(is) && (len(is) == 0 || reflect.DeepEqual(was, is)) && (len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b))
}

func ours(resource any) bool {
	s, ok := resource.(string)
	return ok && isEntry(s)
}

// rewrite edits the tree and writes all of it.
func rewrite(content []byte, want bool) ([]byte, error) {
	node, err := yaml.Parse(string(content))
	if err != nil {
		return nil, err
	}
	list, err := node.Pipe(yaml.LookupCreate(yaml.SequenceNode, "resources"))
	if err != nil || list == nil {
		return nil, errors.Join(err, errors.New("yaml: want a mapping with a list of resources"))
	}
	list.YNode().Content = slices.DeleteFunc(list.YNode().Content, func(n *yaml.Node) bool { return isEntry(n.Value) })
	if want {
		list.YNode().Content = append(list.YNode().Content, yaml.NewStringRNode(entry).YNode())
	}
	if len(list.YNode().Content) == 0 {
		if err := node.PipeE(yaml.Clear("resources")); err != nil {
			return nil, err
		}
	}
	out, err := node.String()
	if err != nil {
		return nil, err
	}
	if !sameButEntry(content, []byte(out), want) {
		return nil, fmt.Errorf("yaml: the resources cannot be edited")
	}
	return []byte(out), nil
}
