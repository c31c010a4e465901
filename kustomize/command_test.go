package kustomize_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// kustomizeModule is the command that goes with the library.
const kustomizeModule = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1"

// installed builds the command once and keeps it in the user's cache, for it takes half a minute.
var installed = sync.OnceValues(func() (string, error) {
	if file := os.Getenv("KUSTOMIZE"); file != "" {
		return file, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "schemawave", filepath.Base(kustomizeModule))
	file := filepath.Join(dir, "kustomize")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	install := exec.Command("go", "install", kustomizeModule)
	install.Dir = os.TempDir() // outside of this module, whose versions are not the command's
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	install.Stdout, install.Stderr = os.Stderr, os.Stderr
	return file, install.Run()
})

// kustomizeCommand returns the real command: $KUSTOMIZE, or one built from its Go module.
func kustomizeCommand(t testing.TB) string {
	t.Helper()
	file, err := installed()
	if err != nil {
		t.Fatalf("build %s: %v (set KUSTOMIZE to a kustomize of your own)", kustomizeModule, err)
	}
	return file
}
