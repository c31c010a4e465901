package kustomize

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"testing"
	"testing/fstest"
)

// TestTreeOfManyDirectories keeps few of them open, and reads them all.
func TestTreeOfManyDirectories(t *testing.T) {
	dir, files, want := t.TempDir(), fstest.MapFS{}, []string{}
	for i := range 3 * openDirectories {
		name := fmt.Sprintf("%d/file", i)
		files[name] = &fstest.MapFile{Data: []byte(name)}
		want = append(want, name)
	}
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	tree := &tree{root: root}
	defer tree.Close()
	for _, name := range want {
		if text, err := tree.ReadFile(name); err != nil || string(text) != name {
			t.Fatalf("%s is %q, %v", name, text, err)
		}
		if entries, err := tree.ReadDir(path.Dir(name)); err != nil || len(entries) != 1 || entries[0].Name() != "file" {
			t.Fatalf("the directory of %s has %v, %v", name, entries, err)
		}
		if info, err := tree.Lstat(name); err != nil || info.Size() != int64(len(name)) {
			t.Fatalf("%s: %v, %v", name, info, err)
		}
	}
	if open := openFiles(t) - before; open > openDirectories {
		t.Errorf("%d files are open", open)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	open, err := fs.ReadDir(os.DirFS("/proc/self"), "fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
