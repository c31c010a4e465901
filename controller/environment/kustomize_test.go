package environment

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/kustomize"
)

// example is one of the repository's examples as files.
func example(t testing.TB, name string) map[string]string {
	t.Helper()
	files := map[string]string{}
	dir := os.DirFS(filepath.Join("..", "..", "examples", name))
	err := fs.WalkDir(dir, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(dir, p)
		files[p] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// real leaves listing and rendering to package kustomize.
func real(o *Options) { o.List, o.Render = nil, nil }

func TestShopIsRenderedByKustomize(t *testing.T) {
	h := newHost(t)
	p := h.repository("shop", example(t, "shop"))
	w := start(t, real, h.url("shop")).only()
	rep := pass(t, w, Pushed)
	overlays := []string{"orders/overlays/production", "orders/overlays/staging"}
	all := append(overlays, "storefront/overlays/production", "storefront/overlays/staging") // which wait for orders
	equal(t, "rendered", rep.Rendered, all)
	if len(rep.Broken) > 0 {
		t.Fatalf("broken: %q", rep.Broken)
	}
	p.pull()
	for _, o := range all {
		r, err := kustomize.Render(t.Context(), filepath.Join(p.dir, o), kustomize.Options{Root: p.dir})
		if err != nil || r.Changed() {
			t.Errorf("%s is not what kustomize renders in a person's clone: %v\n%s", o, err, r.Diff())
		}
	}
	pass(t, start(t, real, h.url("shop")).only(), Current)

	p.commit("a migration", map[string]string{"orders/migrations/0002_add_note.sql": "ALTER TABLE orders ADD COLUMN note text;\n"})
	p.push()
	rep = pass(t, w, Pushed) // production has a target and waits for a person to raise it
	p.pull()
	equal(t, "touched", rep.Touched, overlays)
	if !strings.Contains(p.git("show", "HEAD", "--", "orders/overlays/staging"), "ADD COLUMN note") {
		t.Error("staging lacks the migration")
	}

	p.git("revert", "--no-edit", "HEAD")
	p.push()
	held := pass(t, w, Current).Held
	equal(t, "held", held, rep.Rendered)
	equal(t, "held by a new leader", pass(t, start(t, real, h.url("shop")).only(), Current).Held, rep.Rendered)
}

func TestRemovedMigrationIsCleanedUp(t *testing.T) {
	h := newHost(t)
	p := h.repository("shop", example(t, "shop"))
	before := p.show("orders/overlays/staging/kustomization.yaml")
	w := start(t, real, h.url("shop")).only()
	pass(t, w, Pushed)
	p.pull()
	p.git("rm", "-q", "orders/overlays/staging/schemamigration.yaml")
	p.commit("no more migrations in staging", nil)
	p.push()
	equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"orders/overlays/staging"})
	if files := git(t, p.bare, "ls-tree", "-r", "--name-only", "main", "orders/overlays/staging"); strings.Contains(files, "schemawave/") {
		t.Errorf("left behind:\n%s", files)
	}
	if after := p.show("orders/overlays/staging/kustomization.yaml"); after != before {
		t.Errorf("the kustomization is not what it was:\n%s", after)
	}
	p.pull()
	p.commit("elsewhere", map[string]string{"README.md": "x\n"})
	p.push()
	pass(t, w, Current)
}

// A workload is gated in the overlays of the base that annotates it, which have no migrations, from the push that annotates it to
// the one that takes the annotation away.
func TestGatesFollowTheirAnnotation(t *testing.T) {
	h := newHost(t)
	files := example(t, "shop")
	const base = "storefront/base/deployment.yaml"
	annotated := files[base]
	files[base] = strings.Replace(annotated, "schemawave.dev/wait-for", "example.com/note", 1)
	if files[base] == annotated {
		t.Fatal("the example annotates nothing")
	}
	plain := files[base]
	p := h.repository("shop", files)
	w := start(t, real, h.url("shop")).only()
	equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"orders/overlays/production", "orders/overlays/staging"})
	p.pull()
	before := p.show("storefront/overlays/staging/kustomization.yaml")

	gated := []string{"storefront/overlays/production", "storefront/overlays/staging"}
	p.commit("the storefront waits", map[string]string{base: annotated})
	p.push()
	equal(t, "gated", pass(t, w, Pushed).Rendered, gated)
	p.pull()
	if !strings.Contains(p.show("storefront/overlays/staging/schemawave/gates.yaml"), "- staging/orders@2\n") {
		t.Error("the gate of staging does not wait for orders of staging")
	}
	pass(t, start(t, real, h.url("shop")).only(), Current)

	p.commit("a new environment", map[string]string{"storefront/overlays/eu/kustomization.yaml": "namespace: eu\nresources: [../../base]\n"})
	p.push()
	equal(t, "gated", pass(t, w, Pushed).Rendered, []string{"storefront/overlays/eu"})
	p.pull()

	p.commit("the storefront waits no longer", map[string]string{base: plain})
	p.push()
	equal(t, "opened", pass(t, w, Pushed).Rendered, append([]string{"storefront/overlays/eu"}, gated...))
	p.pull()
	if after := p.show("storefront/overlays/staging/kustomization.yaml"); after != before {
		t.Errorf("the kustomization is not what it was:\n%s", after)
	}
	pass(t, w, Unchanged)
}

// TestGateByPatchInJSON gates the workload of an overlay that is one by the annotation in a patch, from the push of that patch on.
func TestGateByPatchInJSON(t *testing.T) {
	h := newHost(t)
	files := example(t, "shop")
	const base, overlay = "storefront/base/deployment.yaml", "storefront/overlays/eu"
	files[base] = strings.Replace(files[base], "schemawave.dev/wait-for", "example.com/note", 1)
	files[overlay+"/kustomization.yaml"] = "namespace: eu\nresources: [../../base]\npatches: [{path: wait.json, target: {kind: Deployment}}]\n"
	files[overlay+"/wait.json"] = `[{"op": "add", "path": "/metadata/annotations/example.com~1other", "value": "a"}]`
	p := h.repository("shop", files)
	w := start(t, real, h.url("shop")).only()
	pass(t, w, Pushed)
	p.pull()
	p.commit("the storefront waits", map[string]string{overlay + "/wait.json": `[{"op": "add", "path": "/metadata/annotations/schemawave.dev~1wait-for", "value": "production/orders"}]`})
	p.push()
	equal(t, "gated", pass(t, w, Pushed).Rendered, []string{overlay})
}

// An overlay that is one by an annotation in its base, and could not be rendered, is when a file of its own is mended: its
// workload must not start ungated.
func TestGateOfMendedOverlay(t *testing.T) {
	h := newHost(t)
	files := example(t, "shop")
	const overlay = "storefront/overlays/eu"
	const patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: storefront}\nspec: {replicas: 2}\n"
	files[overlay+"/kustomization.yaml"] = "namespace: eu\nresources: [../../base]\npatches: [{path: patch.yaml}]\n"
	files[overlay+"/patch.yaml"] = strings.Replace(patch, "storefront", "nobody", 1)
	p := h.repository("shop", files)
	w := start(t, real, h.url("shop")).only()
	if rep := pass(t, w, Pushed); rep.Broken[overlay] == "" {
		t.Fatalf("a patch of nothing is rendered: %v", rep.Rendered)
	}
	p.pull()
	p.commit("mended", map[string]string{overlay + "/patch.yaml": patch})
	p.push()
	equal(t, "gated", pass(t, w, Pushed).Rendered, []string{overlay})
	p.pull()
	pass(t, start(t, real, h.url("shop")).only(), Current)
}

func TestMistakeIsToldWithItsPlace(t *testing.T) {
	h := newHost(t)
	files := example(t, "shop")
	files["orders/overlays/staging/schemamigration.yaml"] += "  tagret: x\n"
	h.repository("shop", files)
	w := start(t, real, h.url("shop")).only()
	rep := pass(t, w, Pushed)
	equal(t, "rendered", rep.Rendered, []string{"orders/overlays/production", "storefront/overlays/production", "storefront/overlays/staging"})
	why := rep.Broken["orders/overlays/staging"]
	t.Log(why)
	if !strings.Contains(why, "orders/overlays/staging/schemamigration.yaml:") || strings.Contains(why, w.checkout.dir) {
		t.Errorf("broken: %q", why)
	}
}

// TestWarningsAreLogged tells of an image whose tag moves once, when the overlay is rendered.
func TestWarningsAreLogged(t *testing.T) {
	var log bytes.Buffer
	h := newHost(t)
	p := h.repository("shop", map[string]string{
		"overlay/kustomization.yaml": "namespace: staging\n",
		"overlay/orders.yaml": "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: orders}\nspec:\n" +
			"  source: {image: {name: orders, path: /migrations}}\n  database: {urlFrom: {secretKeyRef: {name: a, key: b}}}\n",
	})
	w := start(t, func(o *Options) {
		real(o)
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}, h.url("shop")).only()
	pass(t, w, Pushed)
	p.pull()
	p.commit("elsewhere", map[string]string{"README.md": "x\n"})
	p.push()
	pass(t, w, Current)
	if n := strings.Count(log.String(), "overlay/orders.yaml:5: spec.source.image.name: orders may be another image tomorrow"); n != 1 {
		t.Errorf("the log tells %d times of the image\n%s", n, log.String())
	}
}
