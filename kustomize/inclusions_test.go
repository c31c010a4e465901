package kustomize_test

import (
	"path/filepath"
	"testing"

	"github.com/schemawave/schemawave/kustomize"
)

// TestDiamond renders an overlay that has a base in two ways, and one with a component for each of two bases: both are fine.
func TestDiamond(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, with(repo(good), "overlay/kustomization.yaml", "namespace: production\nresources: [../a, ../b]\n",
		"a/kustomization.yaml", "namePrefix: a-\nresources: [../base]\ncomponents: [../component]\n",
		"b/kustomization.yaml", "namePrefix: b-\nresources: [../base]\ncomponents: [../component]\n",
		"base/kustomization.yaml", "resources: [web.yaml]\n", "base/web.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n",
		"component/kustomization.yaml", "kind: Component\nlabels: [{pairs: {a: b}}]\n"))
	overlay := filepath.Join(root, "overlay")
	result, err := kustomize.Render(t.Context(), overlay, kustomize.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Write(); err != nil {
		t.Fatal(err)
	}
	again, err := kustomize.Render(t.Context(), overlay, kustomize.Options{Root: root})
	if err != nil || again.Changed() {
		t.Errorf("a second render: %v\n%s", err, again.Diff())
	}
}
