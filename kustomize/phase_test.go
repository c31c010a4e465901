package kustomize_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPhaseIsChanged renders an overlay that creates the Secret of its migration as hooks, in the Sync phase, and as hooks again:
// each time the files are as if it had always been like that.
func TestPhaseIsChanged(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: orders-db\n  annotations: {argocd.argoproj.io/sync-wave: \"-10\"}\nstringData: {url: postgres://db}\n"
	root := t.TempDir()
	overlay := filepath.Join(root, "overlay")
	generated := func(hook string) map[string]string {
		t.Helper()
		files := with(repo(good, "policy: {retries: 3}", "hook: "+hook), "overlay/secret.yaml", secret)
		files["overlay/kustomization.yaml"] += "resources: [secret.yaml, schemawave]\n"
		writeTree(t, root, files)
		if err := render(t, root, overlay).Write(); err != nil {
			t.Fatal(err)
		}
		if again := render(t, root, overlay); again.Changed() {
			t.Errorf("%s: a second render differs:\n%s", hook, again.Diff())
		}
		return readTree(t, filepath.Join(overlay, "schemawave"))
	}
	hooks := generated("PreSync")
	if got := slices.Sorted(maps.Keys(hooks)); !slices.Equal(got, []string{"kustomization.yaml", "orders.job.yaml", "orders.marker.yaml", "orders.secret-copy.yaml", "orders.sql.yaml"}) {
		t.Errorf("as hooks: %v", got)
	}
	plain := generated("Sync")
	if got := slices.Sorted(maps.Keys(plain)); !slices.Equal(got, []string{"kustomization.yaml", "orders.job.yaml", "orders.sql.yaml"}) {
		t.Errorf("in the Sync phase: %v", got)
	}
	for name, content := range plain {
		if strings.Contains(content, "argocd.argoproj.io/hook") {
			t.Errorf("in the Sync phase %s still is a hook:\n%s", name, content)
		}
	}
	if again := generated("PreSync"); !maps.Equal(hooks, again) {
		t.Error("as hooks again, the files are not as they were")
	}
}
