package kustomize_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/kustomize"
)

// rendered writes a repository and renders its overlay without applying the result.
func rendered(t *testing.T, files map[string]string) (root string, result kustomize.Result) {
	t.Helper()
	root = t.TempDir()
	writeTree(t, root, files)
	return root, render(t, root, filepath.Join(root, "overlay"))
}

// TestWriteAllOrNothing makes writing fail at every file in turn, by a directory in its place that cannot be replaced.
func TestWriteAllOrNothing(t *testing.T) {
	_, probe := rendered(t, repo(good))
	for _, f := range probe.Files {
		t.Run(filepath.Base(f.Path), func(t *testing.T) {
			root, result := rendered(t, repo(good))
			obstacle := filepath.Join(root, f.Path)
			if err := os.RemoveAll(obstacle); err != nil {
				t.Fatal(err)
			}
			writeTree(t, obstacle, map[string]string{"obstacle": "stands in the way\n"})
			before := readTree(t, root)
			if err := result.Write(); err == nil {
				t.Fatal("no error")
			}
			if d := cmp.Diff(before, readTree(t, root)); d != "" {
				t.Errorf("a failed write left its marks (-before +after):\n%s", d)
			}
		})
	}
}

// TestWriteLeavesNoTrace finds temporary files and changed permissions.
func TestWriteLeavesNoTrace(t *testing.T) {
	root, _ := rendered(t, repo(good))
	kustomization := filepath.Join(root, "overlay/kustomization.yaml")
	if err := os.Chmod(kustomization, 0o600); err != nil {
		t.Fatal(err)
	}
	want := readTree(t, root)
	result := render(t, root, filepath.Join(root, "overlay"))
	collect(want, result)
	if err := result.Write(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, readTree(t, root)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if info, err := os.Stat(kustomization); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kustomization's permissions are %v, %v", info.Mode(), err)
	}
}

// TestRemoval takes everything back when the last declaration goes, down to the directory.
func TestRemoval(t *testing.T) {
	files := repo(good)
	root, result := rendered(t, files)
	if err := result.Write(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "overlay/schema.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := render(t, root, filepath.Join(root, "overlay")).Write(); err != nil {
		t.Fatal(err)
	}
	delete(files, "overlay/schema.yaml")
	if d := cmp.Diff(files, readTree(t, root)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if _, err := os.Stat(filepath.Join(root, "overlay/schemawave")); !os.IsNotExist(err) {
		t.Errorf("the empty directory is still there: %v", err)
	}
}

// TestLeftovers removes what a killed Write left beside its files.
func TestLeftovers(t *testing.T) {
	root, result := rendered(t, repo(good))
	if err := result.Write(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "overlay/schemawave")
	content, err := os.ReadFile(filepath.Join(dir, "orders.job.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	writeTree(t, dir, map[string]string{".orders.job.yaml.XYZ": string(content)})
	again := render(t, root, filepath.Join(root, "overlay"))
	if len(again.Files) != 1 || again.Files[0].After != nil {
		t.Errorf("a leftover is not to be removed:\n%s", again.Diff())
	}
}

func TestDiff(t *testing.T) {
	root, result := rendered(t, repo(good))
	if d := result.Diff(); !strings.Contains(d, "--- a/overlay/kustomization.yaml\n+++ b/overlay/kustomization.yaml\n@@ -1,1 +1,3 @@\n namespace: production\n+resources:\n+- schemawave\n") ||
		!strings.Contains(d, "--- /dev/null\n+++ b/overlay/schemawave/orders.job.yaml\n") {
		t.Errorf("diff:\n%s", d)
	}
	if err := result.Write(); err != nil {
		t.Fatal(err)
	}
	again := render(t, root, filepath.Join(root, "overlay"))
	if again.Changed() || again.Diff() != "" {
		t.Errorf("nothing changed, yet:\n%s", again.Diff())
	}
	if err := again.Write(); err != nil {
		t.Error(err)
	}
}

// TestDiffHidesSecrets shows that a Secret differs and not how.
func TestDiffHidesSecrets(t *testing.T) {
	files := repo(good)
	secret := func(value string) string {
		return "namespace: x\nsecretGenerator: [{name: orders-db, literals: [url=" + value + "]}]\n"
	}
	files["overlay/kustomization.yaml"] = secret("one")
	root, result := rendered(t, files)
	check := func(r kustomize.Result, want string) {
		t.Helper()
		d := r.Diff()
		for _, hidden := range []string{"b25l", "dHdv"} { // one and two
			if strings.Contains(d, hidden) {
				t.Errorf("the diff tells the secret:\n%s", d)
			}
		}
		if !strings.Contains(d, want) {
			t.Errorf("the diff does not say %q:\n%s", want, d)
		}
	}
	check(result, "+data:\n+  (values hidden, after)\n")
	if err := result.Write(); err != nil {
		t.Fatal(err)
	}
	// The overlay's own file differs by our entry; what is compared is the generated copy.
	content := readTree(t, root)["overlay/kustomization.yaml"]
	writeTree(t, root, map[string]string{"overlay/kustomization.yaml": strings.Replace(content, "url=one", "url=two", 1)})
	check(render(t, root, filepath.Join(root, "overlay")), "-  (values hidden, before)\n+  (values hidden, after)\n")
}

// TestLinks refuses symbolic links by which a repository would have files outside of it read, or overwritten.
func TestLinks(t *testing.T) {
	for _, c := range []struct {
		why, link, target string // from link, relative to the repository, to target
		want              string
	}{
		{"a directory outside", "migrations", "OUTSIDE", "path escapes from parent"},
		{"a migration outside", "migrations/0003_c.sql", "OUTSIDE/0001_a.sql", "path escapes from parent"},
		{"a declaration outside", "overlay/more.yaml", "OUTSIDE/schema.yaml", "path escapes from parent"},
		{"generated files outside", "overlay/schemawave", "OUTSIDE", "is not a directory, and not generated"},
		{"a shared kustomization", "overlay/kustomization.yaml", "../elsewhere/kustomization.yaml", "would be edited for all who share it"},
		{"a generated file outside", "overlay/schemawave/orders.job.yaml", "OUTSIDE/0001_a.sql", "was not generated"},
	} {
		t.Run(c.why, func(t *testing.T) {
			outside, root := t.TempDir(), t.TempDir()
			writeTree(t, outside, map[string]string{"0001_a.sql": "SELECT 1;\n", "schema.yaml": good})
			writeTree(t, root, repo(good))
			link := filepath.Join(root, c.link)
			if err := os.RemoveAll(link); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(strings.Replace(c.target, "OUTSIDE", outside, 1), link); err != nil {
				t.Fatal(err)
			}
			_, err := kustomize.Render(context.Background(), filepath.Join(root, "overlay"), kustomize.Options{Root: root})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestLinkWithin follows a link that stays in the repository.
func TestLinkWithin(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, repo(good, "../migrations", "current"))
	if err := os.Symlink("../migrations", filepath.Join(root, "overlay/current")); err != nil {
		t.Fatal(err)
	}
	render(t, root, filepath.Join(root, "overlay"))
}
