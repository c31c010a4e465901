package kustomize

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// editCases pairs a kustomization without our entry with the same one with it.
func editCases() []struct{ why, without, with string } {
	return []struct{ why, without, with string }{
		{"a list", "resources:\n- a.yaml\n", "resources:\n- a.yaml\n- schemawave\n"},
		{"a list that is indented", "resources:\n    -   a.yaml\nnamespace: x\n", "resources:\n    -   a.yaml\n    -   schemawave\nnamespace: x\n"},
		{"comments and empty lines", "# one\n\nresources: # two\n  # three\n  - a.yaml # four\n\n# five\nnamespace: x # six\n", "# one\n\nresources: # two\n  # three\n  - a.yaml # four\n  - schemawave\n\n# five\nnamespace: x # six\n"},
		{"no end of the last line", "resources:\n- a.yaml", "resources:\n- a.yaml\n- schemawave\n"},
		{"a mark and lines as on Windows, in a form that is written anew", "\ufeff{resources: [a.yaml], namespace: x}\r\n", "\ufeff{resources: [a.yaml, schemawave], namespace: x}\r\n"},
		{"lines that end as on Windows", "resources:\r\n- a.yaml\r\nnamespace: x\r\n", "resources:\r\n- a.yaml\r\n- schemawave\r\nnamespace: x\r\n"},
		{"names in quotes", "resources:\n- \"a.yaml\"\n", "resources:\n- \"a.yaml\"\n- schemawave\n"},
		{"brackets", "resources: [a.yaml] # all\n", "resources: [a.yaml, schemawave] # all\n"},
		{"brackets and quotes", "resources: [ \"a.yaml\", 'b' ]\n", "resources: [ \"a.yaml\", 'b', schemawave ]\n"},
		{"brackets over lines", "resources: [\n  a.yaml,\n  b,\n]\n", "resources: [\n  a.yaml,\n  b, schemawave,\n]\n"},
		{"a mapping in braces", "{namespace: x, resources: [a.yaml]}\n", "{namespace: x, resources: [a.yaml, schemawave]}\n"},
		{"no resources", "namespace: x\n", "namespace: x\nresources:\n- schemawave\n"},
		{"no resources, no end of the last line", "namespace: x", "namespace: x\nresources:\n- schemawave\n"},
		{"nothing", "", "resources:\n- schemawave\n"},
		{"only a comment", "# soon\n", "# soon\nresources:\n- schemawave\n"},
		{"a document start", "---\nnamespace: x\n", "---\nnamespace: x\nresources:\n- schemawave\n"},
		{"an empty list", "resources: []\nnamespace: x\n", "resources:\n- schemawave\nnamespace: x\n"},
		{"an empty list with a comment", "resources: [] # none yet\n", "resources: # none yet\n- schemawave\n"},
		{"a key without value", "resources:\nnamespace: x\n", "resources:\n- schemawave\nnamespace: x\n"},
		{"a key of a similar name", "metadata:\n  name: resources\nresources:\n- a.yaml\n", "metadata:\n  name: resources\nresources:\n- a.yaml\n- schemawave\n"},
		{"a mapping in braces without resources", "{namespace: x}\n", "{namespace: x, resources: [schemawave]}\n"},
	}
}

func TestAddEntry(t *testing.T) {
	for _, c := range editCases() {
		got, err := objectsListed.edit([]byte(c.without), true)
		if err != nil || string(got) != c.with {
			t.Errorf("%s: got\n%s\nwant\n%s\n%v", c.why, got, c.with, err)
		}
		again, err := objectsListed.edit(got, true)
		if err != nil || string(again) != string(got) {
			t.Errorf("%s: a second time gives\n%s\n%v", c.why, again, err)
		}
	}
}

// TestDropEntry takes the entry out again. Where there was no list, or an empty one without a comment, none remains.
func TestDropEntry(t *testing.T) {
	for _, c := range editCases() {
		got, err := objectsListed.edit([]byte(c.with), false)
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		want := c.without
		if strings.Contains(c.with, "\n- schemawave") && !strings.Contains(c.without, "a.yaml") {
			want = strings.NewReplacer("resources: []\n", "", "resources:\n", "").Replace(want)
		}
		if !strings.HasSuffix(want, "\n") && want != "" {
			want += "\n"
		}
		if string(got) != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.why, got, want)
		}
	}
}

func TestEntrySpelling(t *testing.T) {
	for _, spelled := range []string{"schemawave", "./schemawave", "schemawave/", `"schemawave"`, "./schemawave/"} {
		content := "resources:\n- " + spelled + "\n- b\n"
		if got, err := objectsListed.edit([]byte(content), true); err != nil || string(got) != content {
			t.Errorf("%s is added again:\n%s\n%v", spelled, got, err)
		}
		if got, err := objectsListed.edit([]byte(content), false); err != nil || string(got) != "resources:\n- b\n" {
			t.Errorf("%s is not removed:\n%s\n%v", spelled, got, err)
		}
	}
	twice := "resources:\n- schemawave\n- b\n- ./schemawave\n"
	if got, err := objectsListed.edit([]byte(twice), true); err != nil || strings.Count(string(got), "schemawave") != 1 {
		t.Errorf("an entry given twice becomes\n%s\n%v", got, err)
	}
}

// TestGatesEntry edits the other list that we have an entry in, among whose elements may be whole documents.
func TestGatesEntry(t *testing.T) {
	for _, c := range []struct{ why, without, with string }{
		{"no transformers", "resources:\n- a.yaml # one\n", "resources:\n- a.yaml # one\ntransformers:\n- schemawave/gates.yaml\n"},
		{"a file", "transformers: # ours\n- labels.yaml\nnamespace: x\n", "transformers: # ours\n- labels.yaml\n- schemawave/gates.yaml\nnamespace: x\n"},
		{"brackets", "transformers: [labels.yaml]\n", "transformers: [labels.yaml, schemawave/gates.yaml]\n"},
		{"a document in place", "transformers:\n- |-\n  apiVersion: builtin # theirs\n  kind: LabelTransformer\nnamespace: x\n",
			"transformers:\n- |-\n  apiVersion: builtin # theirs\n  kind: LabelTransformer\n- schemawave/gates.yaml\nnamespace: x\n"},
	} {
		got, err := gatesListed.edit([]byte(c.without), true)
		if err != nil || string(got) != c.with {
			t.Errorf("%s: got\n%s\nwant\n%s\n%v", c.why, got, c.with, err)
		}
		if got, err := gatesListed.edit([]byte(c.with), false); err != nil || string(got) != c.without {
			t.Errorf("%s, and out again: got\n%s\nwant\n%s\n%v", c.why, got, c.without, err)
		}
	}
}

func TestEntryRefused(t *testing.T) {
	for _, content := range []string{"- a\n", "resources: a.yaml\n", "a: b: c\n", "resources:\n- a\n---\nresources:\n- b\n"} {
		if got, err := objectsListed.edit([]byte(content), true); err == nil {
			t.Errorf("%q became %q", content, got)
		}
	}
}

// FuzzEntry: whatever the file, an edit that succeeds changes nothing but the entry, loses no comment, and can be taken back. Where
// the text could be edited, it comes back to the byte.
func FuzzEntry(f *testing.F) {
	for _, c := range editCases() {
		f.Add(c.without)
		f.Add(strings.ReplaceAll(c.without, "resources", "transformers"))
	}
	f.Add("~")
	f.Add("\r\r ")
	f.Add("resources: [äöü.yaml, \"ß\"]\n")
	f.Fuzz(func(t *testing.T, content string) {
		for _, l := range []listing{objectsListed, gatesListed} {
			checkEdit(t, l, content)
		}
	})
}

func checkEdit(t *testing.T, l listing, content string) {
	t.Helper()
	with, err := l.edit([]byte(content), true)
	if err != nil {
		return
	}
	if !l.sameButEntry([]byte(content), with, true) {
		t.Errorf("%q became %q", content, with)
	}
	if again, err := l.edit(with, true); err != nil || string(again) != string(with) {
		t.Errorf("%q became %q and then %q, %v", content, with, again, err)
	}
	without, err := l.edit(with, false)
	if err != nil || !l.sameButEntry(with, without, false) {
		t.Errorf("%q became %q, %v", with, without, err)
	}
	root, err := parseMapping([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	list := l.of(root)
	if list != nil && slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return l.is(n.Value) }) {
		return // a comment on an entry of ours goes with it
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(content), &doc); err != nil {
		t.Fatalf("%q: %v", content, err)
	}
	for _, text := range [][]byte{with, without} {
		for _, c := range comments(&doc) {
			if !strings.Contains(string(text), c) {
				t.Errorf("%q became %q, without its comment %q", content, text, c)
			}
		}
	}
	if edited := l.editText([]byte(content), list, true); edited == nil || string(edited) != string(with) || list != nil && len(list.Content) == 0 {
		return // it was written anew, or had an empty list, of which nothing remains
	}
	if got := strings.TrimSuffix(strings.TrimSuffix(string(without), "\n"), "\r"); got != strings.TrimSuffix(strings.TrimSuffix(content, "\n"), "\r") {
		t.Errorf("%q became %q, and that %q", content, with, without)
	}
}
