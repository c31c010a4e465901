package kustomize_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/kustomize"
)

// TestAll renders overlays in one pass as one after the other, each written before the next: also those of which one includes
// another, by a base between them, and one that is given twice.
func TestAll(t *testing.T) {
	files := map[string]string{"migrations/0001_a.sql": "SELECT 1;\n", "middle/kustomization.yaml": "resources: [../overlays/03]\n"}
	var names []string
	for i := range 12 {
		name := fmt.Sprintf("overlays/%02d", i)
		names = append(names, name)
		files[name+"/kustomization.yaml"] = fmt.Sprintf("namespace: n%d\nresources: [web.yaml]\n", i)
		files[name+"/web.yaml"] = deployment("web", "orders")
		files[name+"/schema.yaml"] = "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: orders}\nspec:\n  source: {directory: ../../migrations}\n  database: {urlFrom: {secretKeyRef: {name: db, key: url}}}\n"
	}
	files["outer/kustomization.yaml"] = "resources: [../middle]\n"
	names = slices.Insert(names, 6, "overlays/05")
	names = slices.Insert(names, 4, "outer") // outer waits as 03 does, whose render has made the gate
	alone, together := t.TempDir(), t.TempDir()
	writeTree(t, alone, files)
	writeTree(t, together, files)
	var want, have []bool
	for _, name := range names {
		result := render(t, alone, filepath.Join(alone, name))
		want = append(want, result.Changed())
		if err := result.Write(); err != nil {
			t.Fatal(err)
		}
	}
	var overlays []string
	for _, name := range names {
		overlays = append(overlays, filepath.Join(together, name))
	}
	for result, err := range (&kustomize.Pass{Options: kustomize.Options{Root: together}}).All(t.Context(), overlays) {
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, result.Changed())
		if err := result.Write(); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error("changed", d)
	}
	if d := cmp.Diff(readTree(t, alone), readTree(t, together)); d != "" {
		t.Error(d)
	}
	for range (&kustomize.Pass{Options: kustomize.Options{Root: together}}).All(t.Context(), overlays) {
		break // ends those that are being rendered
	}
}

// TestRepositories renders overlays of two repositories in one pass, of which one has what a Job needs and the other has not.
func TestRepositories(t *testing.T) {
	var overlays []string
	for _, secret := range []string{"other", "orders-db"} {
		root := t.TempDir()
		writeTree(t, root, with(repo(good), ".git/HEAD", "", "overlay/kustomization.yaml", "namespace: x\nresources: [../base]\n",
			"base/kustomization.yaml", "resources: [a.yaml]\n", "base/a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: other}\n"))
		overlay := filepath.Join(root, "overlay")
		overlays = append(overlays, overlay)
		if err := render(t, root, overlay).Write(); err != nil {
			t.Fatal(err)
		}
		writeTree(t, root, map[string]string{"base/a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: " + secret + "}\nstringData: {url: a}\n"})
	}
	var changed []bool
	p := &kustomize.Pass{}
	for _, overlay := range overlays {
		result, err := p.Render(t.Context(), overlay)
		if err != nil {
			t.Fatal(err)
		}
		changed = append(changed, result.Changed())
	}
	if d := cmp.Diff([]bool{false, true}, changed); d != "" {
		t.Error(d)
	}
}
