package kustomize_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/kustomize"
)

// FuzzRender renders an overlay of any kustomization and any SchemaMigration. What is written is in the overlay, in the files that
// are ours; a second render finds nothing to do; and the kustomization keeps its line ends and its byte order mark.
func FuzzRender(f *testing.F) {
	for _, kustomization := range []string{
		"namespace: x\n", "namespace: x\nresources:\n- ../base\n- web.yaml\n", "namespace: x\nresources: [../base, schemawave] # ours\ncomponents: [../component]\n",
		"# the shop\nnamespace: x\n\nresources: []\n# its end", "{namespace: x, resources: [web.yaml]}", "namespace: x\nresources: &r [web.yaml]\nbases: *r\n",
		"namespace: x\nnamePrefix: eu-\nresources: [web.yaml]\nconfigMapGenerator: [{name: a, literals: [b=c]}]\npatches: [{target: {kind: Deployment}, patch: '[{\"op\": \"add\", \"path\": \"/spec/replicas\", \"value\": 3}]'}]\n",
		"namespace: x\nresources: [web.yaml]\ncommonAnnotations: {schemawave.dev/wait-for: orders}\ntransformers:\n- schemawave/gates.yaml\n", "---\nnamespace: x\nresources:\n  - web.yaml\n...\n",
		"namespace: x\nresources: [schemawave, schemawave, '../overlay/schemawave/']\n", "namespace: x\ncomponents: [., ../overlay]\nimages: [{name: a}]\n", "namespace: x\nresources:\n- \"web.yaml\" # é\n-   ../base\n",
	} {
		for _, ends := range []string{"\n", "\r\n"} {
			text := strings.ReplaceAll(kustomization, "\n", ends)
			f.Add(text, good)
			f.Add("\ufeff"+text, strings.ReplaceAll(good, "\n", ends))
			f.Add(strings.TrimSuffix(text, ends), "\ufeff"+strings.TrimSuffix(good, "\n"))
		}
	}
	f.Add("namespace: x\n", strings.Replace(good, "directory: ../migrations", "image: {name: 'a:1', path: /m}", 1)+"  guard: job\n")
	f.Add("namespace: x\n", strings.Replace(good, "directory: ../migrations", "tool: {image: 'a:1', command: [b], history: laravel}", 1)+"  hook: Sync\n---\n"+strings.Replace(good, "orders", "stock", 1)+"  dependsOn: [orders, y/z]\n")
	f.Fuzz(func(t *testing.T, kustomization, declaration string) {
		outer := t.TempDir()
		root := filepath.Join(outer, "root")
		const web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: web}]}}}\n"
		writeTree(t, outer, map[string]string{"kustomization.yaml": "resources: [a.yaml]\n", "a.yaml": web})
		writeTree(t, root, with(repo(declaration), "overlay/kustomization.yaml", kustomization, "overlay/web.yaml", web, "base/kustomization.yaml", "resources: [a.yaml]\n",
			"base/a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: orders-db}\nstringData: {url: a}\n", "component/kustomization.yaml", "kind: Component\nlabels: [{pairs: {a: b}}]\n"))
		before := readTree(t, outer)
		overlay := filepath.Join(root, "overlay")
		result, err := kustomize.Render(context.Background(), overlay, kustomize.Options{Root: root})
		if err != nil {
			return
		}
		if err := result.Write(); err != nil {
			t.Fatal(err)
		}
		again, err := kustomize.Render(context.Background(), overlay, kustomize.Options{Root: root})
		if err != nil || again.Changed() {
			t.Errorf("a second render: %v\n%s", err, again.Diff())
		}
		after := readTree(t, outer)
		const own, ours = "root/overlay/kustomization.yaml", "root/overlay/schemawave/"
		checkEnds(t, before[own], after[own])
		delete(before, own)
		delete(after, own)
		for name := range after {
			if strings.HasPrefix(name, ours) {
				delete(after, name)
			}
		}
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("other files changed:\n%s", d)
		}
	})
}

// checkEnds holds that a text keeps how its lines end, and the mark at its beginning.
func checkEnds(t *testing.T, before, after string) {
	t.Helper()
	const mark = "\ufeff"
	if strings.HasPrefix(before, mark) != strings.HasPrefix(after, mark) {
		t.Errorf("the byte order mark was lost or made: %q became %q", before, after)
	}
	lines, crlf := strings.Count(before, "\n"), strings.Count(before, "\r\n")
	if lines > 0 && crlf == lines && bytes.Count([]byte(after), []byte("\n")) != strings.Count(after, "\r\n") {
		t.Errorf("line ends were changed: %q became %q", before, after)
	}
	if lines > 0 && crlf == 0 && strings.Contains(after, "\r\n") {
		t.Errorf("line ends were made: %q became %q", before, after)
	}
}
