package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/schemawave/schemawave/cmd/lab/progress"
)

// checkout is a directory with one module, and a cache that builds from it.
func checkout(t *testing.T) (Cache, Binary) {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "hello/go.mod"), "module hello\n\ngo 1.24\n")
	write(t, filepath.Join(root, "hello/main.go"), "package main\n\nvar word = \"nobody\"\n\nfunc main() { print(\"hello \", word) }\n")
	return Cache{Dir: filepath.Join(t.TempDir(), "cache"), Toolchain: Toolchain{Version: "go1", Root: root}},
		Binary{Name: "hello", Dir: "hello", Package: ".", LDFlags: "-X main.word=world", Inputs: []string{"hello/go.mod", "hello/main.go"}, Cold: "a second"}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBinaryIsBuiltOnce(t *testing.T) {
	cache, hello := checkout(t)
	var said strings.Builder
	paths, err := cache.Ensure(t.Context(), []Binary{hello}, progress.New(&said))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(paths["hello"]).CombinedOutput(); err != nil || string(out) != "hello world" {
		t.Errorf("built binary: %q, %v", out, err)
	}
	if !strings.Contains(said.String(), "building hello (1 of 1), a second, once") {
		t.Errorf("said %q", said.String())
	}
	said.Reset()
	again, err := cache.Ensure(t.Context(), []Binary{hello}, progress.New(&said))
	if err != nil || again["hello"] != paths["hello"] || said.String() != "" {
		t.Errorf("again: %v, %v, said %q", again, err, said.String())
	}
}

func TestKeyCoversEverythingThatDecides(t *testing.T) {
	cache, hello := checkout(t)
	seen := map[string]string{}
	note := func(what string, c Cache, b Binary) {
		t.Helper()
		key, err := c.key(b)
		if err != nil {
			t.Fatal(err)
		}
		if twin, ok := seen[key]; ok {
			t.Errorf("%s has the key of %s", what, twin)
		}
		seen[key] = what
	}
	note("the binary", cache, hello)
	flags := hello
	flags.LDFlags = ""
	note("other flags", cache, flags)
	version := hello
	version.Module = "hello@v1"
	note("a module's version", cache, version)
	newer := cache
	newer.Toolchain.Version = "go2"
	note("another Go", newer, hello)
	write(t, filepath.Join(cache.Toolchain.Root, "hello/main.go"), "package main\n")
	note("another source", cache, hello)
}

func TestFailedBuildTellsWhyAndLeavesNothing(t *testing.T) {
	cache, hello := checkout(t)
	write(t, filepath.Join(cache.Toolchain.Root, "hello/main.go"), "package main\n\nfunc main() { undefined() }\n")
	_, err := cache.Ensure(t.Context(), []Binary{hello}, progress.New(nil))
	if err == nil || !strings.Contains(err.Error(), "build hello: ") || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("got %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(cache.Dir, "hello*")); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestInterruptedBuildIsBuiltAgain(t *testing.T) {
	cache, hello := checkout(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cache.Ensure(ctx, []Binary{hello}, progress.New(nil)); err == nil {
		t.Fatal("built in no time")
	}
	if _, err := cache.Ensure(t.Context(), []Binary{hello}, progress.New(nil)); err != nil {
		t.Error(err)
	}
}

func TestUnusedBinariesAreRemoved(t *testing.T) {
	cache, hello := checkout(t)
	old, recent := filepath.Join(cache.Dir, "hello-old"), filepath.Join(cache.Dir, "hello-recent")
	for path, age := range map[string]time.Duration{old: unusedAfter + time.Hour, recent: unusedAfter - time.Hour} {
		write(t, path, "")
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cache.Ensure(t.Context(), []Binary{hello}, progress.New(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old one is still there")
	}
	if _, err := os.Stat(recent); err != nil {
		t.Error(err)
	}
}

func TestEveryBinaryHasItsSource(t *testing.T) {
	tools, err := FindToolchain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cache := Cache{Dir: t.TempDir(), Toolchain: tools}
	for _, argoCD := range ArgoCDs() {
		for _, b := range All(argoCD) {
			if _, err := cache.key(b); err != nil {
				t.Error(err)
			}
			if b.Cold == "" || (b.Module == "" && len(b.Inputs) == 0) {
				t.Errorf("%s: %+v", b.Name, b)
			}
		}
	}
}

// TestArgoCDIsOfTheVersionThatItSays holds what is stamped into a binary, and whose CRDs are used, to what is compiled.
func TestArgoCDIsOfTheVersionThatItSays(t *testing.T) {
	tools, err := FindToolchain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for release, mod := range map[string]string{"2.14": "go.mod", "3.5": "cmd/lab/argocd35/go.mod"} {
		required, err := os.ReadFile(filepath.Join(tools.Root, mod))
		if err != nil {
			t.Fatal(err)
		}
		argoCD := ArgoCDs()[release]
		path, version, _ := strings.Cut(argoCD.Module, "@")
		if !strings.Contains(string(required), path+" "+version) {
			t.Errorf("%s does not require %s", mod, argoCD.Module)
		}
		if want := "-X " + path + "/common.version=" + version[1:]; argoCD.Binary.LDFlags != want {
			t.Errorf("%s is stamped %s", argoCD.Module, argoCD.Binary.LDFlags)
		}
	}
}

func TestServicesAreDeniedWhilePackagesAreInstalled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy-rc.d")
	restore, err := denyServices(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(path).Run(); err == nil || err.Error() != "exit status 101" {
		t.Errorf("the policy says %v", err)
	}
	keep, err := denyServices(path) // somebody else's policy now
	if err != nil {
		t.Fatal(err)
	}
	keep()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	restore()
	if _, err := os.Stat(path); err == nil {
		t.Error("the policy is still there")
	}
}
