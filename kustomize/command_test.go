package kustomize_test

import (
	"os/exec"
	"testing"
)

// kustomizes are the commands that come with Argo CD 2.14, and with 3.5 and the library used here. A lab has them on its PATH.
var kustomizes = []string{"kustomize-5.4", "kustomize"}

// kustomizeCommand finds one of them.
func kustomizeCommand(t testing.TB, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v; run this in a lab: go run ./cmd/lab run --control-plane -- go test ./kustomize", err)
	}
	return file
}
