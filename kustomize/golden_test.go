package kustomize_test

import (
	"context"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/kustomize"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden renders every overlay of each testdata/golden/CASE/in. CASE/want holds the files that change, with the names
// of those that go in "removed"; CASE/build what the kustomize command then makes of the overlays, in every version.
func TestGolden(t *testing.T) {
	var commands []string
	for _, name := range kustomizes {
		commands = append(commands, kustomizeCommand(t, name))
	}
	cases, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			root := copyTree(t, filepath.Join(dir, "in"))
			changes, builds := map[string]string{}, map[string]string{}
			for _, overlay := range overlays(t, root) {
				result := render(t, root, overlay)
				collect(changes, result)
				printed := yields(t, root, overlay)
				if err := result.Write(); err != nil {
					t.Fatal(err)
				}
				if again := render(t, root, overlay); again.Changed() {
					t.Errorf("a second render of %s differs:\n%s", overlay, again.Diff())
				}
				name := strings.TrimPrefix(overlay, root+"/")
				file := strings.ReplaceAll(name, "/", "-") + ".yaml"
				for i, command := range commands {
					out := buildWith(t, command, overlay)
					if diff := cmp.Diff(builds[file], out); i > 0 && diff != "" {
						t.Errorf("%s is built otherwise by %s (-before +then):\n%s", name, kustomizes[i], diff)
					}
					builds[file] = out
				}
				for when, printed := range map[string]string{"before": printed, "after": yields(t, root, overlay)} {
					if printed != builds[file] {
						t.Errorf("%s: what is printed %s it is written is not what kustomize builds then:\n%s", name, when, cmp.Diff(builds[file], printed))
					}
				}
			}
			goldenTree(t, filepath.Join(dir, "want"), changes)
			goldenTree(t, filepath.Join(dir, "build"), builds)
		})
	}
}

// buildWith returns what a kustomize command makes of a directory.
func buildWith(t testing.TB, command, dir string, args ...string) string {
	t.Helper()
	c := exec.Command(command, append([]string{"build", dir}, args...)...)
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("kustomize build %s: %v\n%s", dir, err, said.String())
	}
	return string(out)
}

func overlays(t testing.TB, root string) []string {
	t.Helper()
	found, err := kustomize.Overlays(root)
	if err != nil || len(found) == 0 {
		t.Fatal("no overlays", err)
	}
	return found
}

func render(t testing.TB, root, overlay string) kustomize.Result {
	t.Helper()
	result, err := kustomize.Render(context.Background(), overlay, kustomize.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// yields is what is printed of an overlay.
func yields(t testing.TB, root, overlay string) string {
	t.Helper()
	result, err := kustomize.Render(context.Background(), overlay, kustomize.Options{Root: root, Yield: true})
	if err != nil {
		t.Fatal(err)
	}
	printed, err := result.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(printed)
}

func collect(into map[string]string, r kustomize.Result) {
	for _, f := range r.Files {
		if f.After == nil {
			into["removed"] += f.Path + "\n"
		} else {
			into[f.Path] = string(f.After)
		}
	}
}

// goldenTree compares files with a directory of golden ones.
func goldenTree(t *testing.T, dir string, got map[string]string) {
	t.Helper()
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		writeTree(t, dir, got)
	}
	if d := cmp.Diff(readTree(t, dir), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", dir, d)
	}
}

func writeTree(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readTree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		files[filepath.ToSlash(rel)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// copyTree copies a directory to a temporary one, where a test may write.
func copyTree(t testing.TB, dir string) string {
	t.Helper()
	to, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	writeTree(t, to, readTree(t, dir))
	return to
}
