package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Toolchain is the go command of this machine and the checkout it works in.
type Toolchain struct {
	// Version is the Go version, such as go1.26.0.
	Version string
	// Root is the directory of the checkout's go.mod.
	Root string
	// Keep are directories of the go command that builds and tests write to: its caches.
	Keep []string
}

// FindToolchain asks the go command about itself. It fails outside the project's checkout, because the source of what
// is built is there.
func FindToolchain(ctx context.Context) (Toolchain, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "-json", "GOVERSION", "GOMOD", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		return Toolchain{}, fmt.Errorf("go env: %w; the lab needs the go command on PATH", err)
	}
	var env struct{ GOVERSION, GOMOD, GOCACHE, GOMODCACHE string }
	if err := json.Unmarshal(out, &env); err != nil {
		return Toolchain{}, fmt.Errorf("go env: %w", err)
	}
	root := filepath.Dir(env.GOMOD)
	if _, err := os.Stat(filepath.Join(root, "cmd/lab/kube/go.mod")); err != nil {
		return Toolchain{}, fmt.Errorf("find the checkout: %w; run lab inside the project's checkout", err)
	}
	return Toolchain{Version: env.GOVERSION, Root: root, Keep: []string{env.GOCACHE, env.GOMODCACHE}}, nil
}

// ModuleDir downloads a module version (path@version) unless it is there, and returns its read-only directory.
func (t Toolchain) ModuleDir(ctx context.Context, module string) (string, error) {
	out, err := t.run(ctx, os.TempDir(), "mod", "download", "-json", module)
	if err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	return m.Dir, nil
}

// DownloadModules fetches what the checkout requires, so that commands in the lab, which has no way out, can build.
func (t Toolchain) DownloadModules(ctx context.Context) error {
	if _, err := t.run(ctx, t.Root, "mod", "download"); err != nil {
		return fmt.Errorf("download the checkout's modules: %w", err)
	}
	return nil
}

// flags of go build for a binary; they are part of the cache key.
func flags(b Binary) []string {
	return []string{"-buildvcs=false", "-trimpath", "-ldflags", strings.TrimSpace("-s -w " + b.LDFlags)}
}

// build compiles b into the file out.
func (t Toolchain) build(ctx context.Context, b Binary, out string) error {
	root := t.Root
	if b.Module != "" {
		dir, err := t.ModuleDir(ctx, b.Module)
		if err != nil {
			return err
		}
		root = dir
	}
	args := append([]string{"build", "-o", out}, flags(b)...)
	_, err := t.run(ctx, filepath.Join(root, b.Dir), append(args, b.Package)...)
	return err
}

// run runs the go command, unaffected by the caller's flags, workspace and target, and returns its standard output; an
// error carries the end of what it said.
func (t Toolchain) run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.Split(strings.TrimSpace(stderr.String()+stdout.String()), "\n")
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, strings.Join(said[max(0, len(said)-20):], "\n"))
	}
	return stdout.Bytes(), nil
}
