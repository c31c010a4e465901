package environment

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestReach(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	root := fstest.MapFS{
		"base/kustomization.yaml":      file("resources: [deploy.yaml, ../shared/cm.yaml]\ncomponents: [../parts/logging]\n"),
		"base/deploy.yaml":             file("kind: Deployment\n"),
		"parts/logging/Kustomization":  file("kind: Component\npatches: [{path: ../patches/p.yaml}]\n"),
		"loop/a/kustomization.yaml":    file("bases: [../b]\n"),
		"loop/b/kustomization.yaml":    file("bases: [../a]\n"),
		"inner/sub/kustomization.yaml": file("resources: [../../base]\n"),
		"inner/kustomization.yaml":     file("resources: [sub]\n"),
	}
	for _, c := range []struct {
		reason string
		files  map[string]string
		want   []string
	}{
		{"nothing else", map[string]string{"kustomization.yaml": "resources: [x.yaml]\n"}, nil},
		{"a base, its files and components", map[string]string{"kustomization.yaml": "resources:\n- ../base\n"},
			[]string{"base", "parts/logging", "parts/patches/p.yaml", "shared/cm.yaml"}},
		{"a single file", map[string]string{"kustomization.yml": "resources:\n- ../base/deploy.yaml\n"}, []string{"base/deploy.yaml"}},
		{"migrations", map[string]string{"kustomization.yaml": "{}", "m.yaml": "kind: SchemaMigration\nspec: {source: {directory: ../sql}}\n"}, []string{"sql"}},
		{"one of several documents", map[string]string{"kustomization.yaml": "{}", "m.yml": "a: b\n---\nspec: {source: {directory: ../sql}}\n"}, []string{"sql"}},
		{"a generator's files", map[string]string{"kustomization.yaml": "configMapGenerator: [{name: x, files: [conf=../conf/a.ini]}]\n"}, []string{"conf/a.ini"}},
		{"what is not there yet", map[string]string{"kustomization.yaml": "resources: [../later]\n"}, []string{"later"}},
		{"through a directory inside", map[string]string{"kustomization.yaml": "resources: [../inner]\n"},
			[]string{"base", "inner", "parts/logging", "parts/patches/p.yaml", "shared/cm.yaml"}},
		{"a circle", map[string]string{"kustomization.yaml": "resources: [../loop/a]\n"}, []string{"loop/a", "loop/b"}},
		{"the repository's own root", map[string]string{"kustomization.yaml": "resources: [..]\n"}, []string{"."}},
		{"out of the repository", map[string]string{"kustomization.yaml": "resources: [../../etc]\n"}, nil},
		{"a remote base", map[string]string{"kustomization.yaml": "resources: ['https://example.com/a/../b?ref=v1']\n"}, nil},
	} {
		fs := fstest.MapFS{}
		for name, f := range root {
			fs[name] = f
		}
		for name, content := range c.files {
			fs["overlay/"+name] = file(content)
		}
		want := append(slices.Clone(c.want), "overlay")
		slices.Sort(want)
		equal(t, c.reason, reach(fs, "overlay"), want)
	}
	broken := fstest.MapFS{"overlay/kustomization.yaml": file("resources: [\n<<<<<<< HEAD\n")}
	equal(t, "a kustomization that cannot be read", reach(broken, "overlay"), []string{"."})
	large := "resources: [../base]\n" + strings.Repeat("# padding\n", 17<<20/10)
	equal(t, "a kustomization that is too large to be rendered", reach(fstest.MapFS{"overlay/kustomization.yaml": file(large)}, "overlay"), []string{"."})
	equal(t, "a file that is", reach(fstest.MapFS{"overlay/kustomization.yaml": file("{}"), "overlay/a.yaml": file(large)}, "overlay"), []string{"overlay"})
}

func TestWithoutOurs(t *testing.T) {
	for _, c := range []struct {
		reason, a, b string
		same         bool
	}{
		{"our entry", "resources:\n- a\n- schemawave\n", "resources:\n- a\n", true},
		{"our entry alone", "kind: Kustomization\nresources: [./schemawave/]\n", "kind: Kustomization\n", true},
		{"layout and comments", "# x\nresources: [a]\n", "resources:\n  - a\n", true},
		{"an empty list", "namespace: x\nresources: []\n", "namespace: x\n", true},
		{"our gates", "resources: [a]\ntransformers:\n- schemawave/gates.yaml\n", "resources: [a]\n", true},
		{"our gates after other transformers", "transformers: [b.yaml, schemawave/gates.yaml]\n", "transformers: [b.yaml]\n", true},
		{"another transformer", "transformers: [b.yaml, schemawave/gates.yaml]\n", "transformers: [schemawave/gates.yaml]\n", false},
		{"another entry", "resources: [a, schemawave]\n", "resources: [b, schemawave]\n", false},
		{"the order", "resources: [a, b]\n", "resources: [b, a]\n", false},
		{"another field", "namespace: x\n", "namespace: y\n", false},
		{"no YAML", "a: [\n", "a: [[\n", false},
	} {
		if got := string(withoutOurs([]byte(c.a))) == string(withoutOurs([]byte(c.b))); got != c.same {
			t.Errorf("%s: the same: %v", c.reason, got)
		}
	}
}

// An overlay that includes another one is rendered after it, in the same pass.
func TestIncludedOverlayIsRenderedFirst(t *testing.T) {
	h := newHost(t)
	files := shop("orders")
	files["all/kustomization.yaml"] = "resources:\n- ../apps/orders\n"
	files["all/migration.yaml"] = "spec: {source: {directory: ../apps/orders/schemawave}}\n" // made from what is generated there
	p := h.repository("env", files)
	w := start(t, nil, h.url("env")).only()
	p.commit("make the directory", map[string]string{"apps/orders/schemawave/keep.txt": "x\n"})
	p.push()
	equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"all", "apps/orders"})
	pass(t, start(t, nil, h.url("env")).only(), Current)
}

// A file at the top has every overlay listed again. Reading what each is made of as well costs, with thousands of them, more
// than all the rest of a pass.
func TestSourcesOfAffectedOverlaysOnlyAreReadAnew(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders", "billing", "search"))
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Pushed)
	p.pull()
	for _, c := range []struct {
		reason, file string
		result       Result
		read         []string
	}{
		{"no overlay's", "values.yaml", Current, nil},
		{"one overlay's", "apps/orders/values.yaml", Current, []string{"apps/orders"}},
		{"one overlay's migration", "migrations/billing/0002.sql", Pushed, []string{"apps/billing"}},
	} {
		before := maps.Clone(w.sources.of)
		p.commit(c.reason, map[string]string{"values.yaml": c.reason + "\n", c.file: "a: b\n"})
		p.push()
		pass(t, w, c.result)
		p.pull()
		var read []string
		for overlay, paths := range w.sources.of {
			if len(paths) == 0 || &paths[0] != &before[overlay][0] {
				read = append(read, overlay)
			}
		}
		slices.Sort(read)
		equal(t, c.reason, read, c.read)
	}
}

// Each of many changed files is looked for among the others once: comparing them all takes minutes here.
func TestManyLinksToManyFiles(t *testing.T) {
	k := &checkout{links: map[string]string{}}
	const links, files = 30, 5000
	for i := range links {
		k.links[fmt.Sprintf("clusters/%d/base", i)] = "../../base"
	}
	var changes []change
	for i := range files {
		changes = append(changes, change{path: fmt.Sprintf("base/%d.json", i)})
	}
	found := k.linked(changes)
	if last := found[len(found)-1].path; len(found) != files*(links+1) || !strings.HasPrefix(last, "clusters/") {
		t.Errorf("%d paths, the last %s", len(found), last)
	}
}
