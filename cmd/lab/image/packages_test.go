package image_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/cmd/lab/image"
)

// TestFromPackages runs a dynamically linked program with nothing but what its package and those it depends on consist of.
func TestFromPackages(t *testing.T) {
	files, err := image.FromPackages(t.Context(), "coreutils")
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(files, func(f image.File) bool { return strings.HasPrefix(f.Path, "/usr/share/man/") }) {
		t.Error("manuals are in it")
	}
	var archive bytes.Buffer
	if _, err := (image.Image{Name: "lab.local/coreutils:1", Files: files}).WriteTo(&archive); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	layer := unpack(t, &archive)
	if out, err := exec.Command("tar", "-xf", layer, "-C", root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("chroot", root, "/bin/sha256sum", "/usr/bin/sha256sum").CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "  /usr/bin/sha256sum\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// unpack returns the path of the image's one layer.
func unpack(t *testing.T, archive *bytes.Buffer) string {
	t.Helper()
	dir := t.TempDir()
	tar := exec.Command("tar", "-xf", "-", "-C", dir)
	tar.Stdin = archive
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(blobs) == 0 {
		t.Fatal("no blobs", err)
	}
	return slices.MaxFunc(blobs, func(a, b string) int { return int(size(t, a) - size(t, b)) })
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestFromPackagesThatAreNotThere(t *testing.T) {
	if _, err := image.FromPackages(t.Context(), "no-such-package"); err == nil || !strings.Contains(err.Error(), "apt-get install no-such-package") {
		t.Errorf("%v", err)
	}
}

func TestFromTree(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "artisan"), []byte("<?php"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("artisan", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	files, err := image.FromTree("/app", dir)
	if err != nil || len(files) != 2 || files[0].Path != "/app/artisan" || files[0].Mode.Perm() != 0o755 || string(files[0].Content) != "<?php" || string(files[1].Content) != "artisan" {
		t.Errorf("%+v, %v", files, err)
	}
}
