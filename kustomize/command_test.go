package kustomize_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// kustomizeVersions are those of the command that come with Argo CD 2.14, and with 3.5 and the library used here.
var kustomizeVersions = []string{"v5.4.3", "v5.8.1"}

var building sync.Mutex

// kustomizeCommand returns the real command of a version, built from its Go module. It is kept in the user's cache, for building it
// takes half a minute.
func kustomizeCommand(t testing.TB, version string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "schemawave", "v5@"+version)
	file := filepath.Join(dir, "kustomize")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	install := exec.Command("go", "install", "sigs.k8s.io/kustomize/kustomize/v5@"+version)
	install.Dir = os.TempDir() // outside of this module, whose versions are not the command's
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	install.Stdout, install.Stderr = os.Stderr, os.Stderr
	if err := install.Run(); err != nil {
		t.Fatalf("build kustomize %s: %v", version, err)
	}
	return file
}
