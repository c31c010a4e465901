package kustomize_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// guarded is a repository whose overlay has a guard.
func guarded() map[string]string { return repo(good, "policy: {retries: 3}", "guard: job") }

// TestGuardIsSwitchedOnAndOff renders an overlay without a guard, with one, and without again: each time the files are as if they had
// always been like that.
func TestGuardIsSwitchedOnAndOff(t *testing.T) {
	root := t.TempDir()
	overlay := filepath.Join(root, "overlay")
	generated := func(files map[string]string) []string {
		t.Helper()
		writeTree(t, root, files)
		if err := render(t, root, overlay).Write(); err != nil {
			t.Fatal(err)
		}
		if again := render(t, root, overlay); again.Changed() {
			t.Errorf("a second render differs:\n%s", again.Diff())
		}
		return slices.Sorted(maps.Keys(readTree(t, filepath.Join(overlay, "schemawave"))))
	}
	off, on := []string{"kustomization.yaml", "orders.job.yaml", "orders.marker.yaml", "orders.sql.yaml"},
		[]string{"kustomization.yaml", "orders.guard.yaml", "orders.job.yaml", "orders.sql.yaml"}
	if got := generated(repo(good)); !slices.Equal(got, off) {
		t.Errorf("before: %v", got)
	}
	before := readTree(t, overlay)
	if got := generated(guarded()); !slices.Equal(got, on) {
		t.Errorf("with a guard: %v", got)
	}
	generated(repo(good))
	if after := readTree(t, overlay); !maps.Equal(before, after) {
		t.Error("switched off, the files are not as they were")
	}
}

// TestOverlayMayNotChangeTheGuard holds the guard to what it is recognised by, and to what it asks.
func TestOverlayMayNotChangeTheGuard(t *testing.T) {
	for _, c := range []struct{ why, ops, want string }{
		{"no guard", "$patch: delete\napiVersion: batch/v1\nkind: Job\nmetadata: {name: x}", "removes or renames Job schema-orders-2-"},
		{"another question", "- op: replace\n  path: /spec/template/spec/containers/0/args/1\n  value: --version=1", "changes the command of Job schema-orders-2-"},
		{"another container", "- op: replace\n  path: /spec/template/spec/containers/0/name\n  value: main", "changes the container guard of Job schema-orders-2-"},
		{"a Job that cannot be changed", "- op: remove\n  path: /metadata/annotations/argocd.argoproj.io~1sync-options", "changes the annotation argocd.argoproj.io/sync-options of Job schema-orders-2-"},
		{"after the workloads", "- op: replace\n  path: /metadata/annotations/argocd.argoproj.io~1sync-wave\n  value: \"1\"", "changes the annotation argocd.argoproj.io/sync-wave of Job schema-orders-2-"},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			kustomization := "namespace: x\nnamePrefix: a-\npatches:\n- target: {kind: Job, name: .*-guard}\n  patch: |-\n    " + strings.ReplaceAll(c.ops, "\n", "\n    ") + "\n"
			_, err := renderTree(t, with(guarded(), "overlay/kustomization.yaml", kustomization))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), "the overlay ") != 1 {
				t.Errorf("error %v\nwant just one with %q", err, c.want)
			}
		})
	}
}

// TestOverlayMayNameTheGuard puts names around the guard, and it before the Job.
func TestOverlayMayNameTheGuard(t *testing.T) {
	for why, kustomization := range map[string]string{
		"a prefix and a suffix": "namespace: x\nnamePrefix: a-\nnameSuffix: -b\n",
		"another order":         "namespace: x\nsortOptions: {order: legacy}\n",
	} {
		if _, err := renderTree(t, with(guarded(), "overlay/kustomization.yaml", kustomization)); err != nil {
			t.Errorf("%s: %v", why, err)
		}
	}
}
