package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/schemawave/schemawave/"

// rooms says which of this module's packages, and which of anyone else's, each room may import. A room is a directory and
// everything below it that has no entry of its own; "std" stands for the standard library. Other packages for tests may import
// what they need.
var rooms = map[string][]string{
	"migrations":                {"std"},
	"migrations/migrationstest": {"std", "migrations"},
	"migrations/postgres":       {"std", "migrations", "github.com/jackc/pgx/v5"},
	"events":                    {"std"},
	"events/jetstream":          {"std", "events", "github.com/nats-io/nats.go", "github.com/nats-io/nuid", "github.com/nats-io/nkeys"},
	"manifests":                 {"std", "migrations", "k8s.io/api", "k8s.io/apimachinery", "sigs.k8s.io/kustomize/kyaml", "sigs.k8s.io/yaml", "sigs.k8s.io/json", "go.yaml.in/yaml"},
	"kustomize":                 {"std", "manifests", "migrations", "sigs.k8s.io/kustomize", "k8s.io/api", "k8s.io/apimachinery", "sigs.k8s.io/yaml", "sigs.k8s.io/json", "go.yaml.in/yaml", "github.com/rogpeppe/go-internal/diff", "github.com/go-git/go-git/v5/plumbing/format"},
}

// forbidden says what must not be linked into a program, however indirectly.
var forbidden = map[string][]string{
	"events/jetstream":      {"k8s.io", "sigs.k8s.io", "github.com/argoproj", "github.com/jackc"},
	"migrations/postgres":   {"k8s.io", "sigs.k8s.io", "github.com/argoproj", "github.com/nats-io"},
	"cmd/schemawave-runner": {"k8s.io", "sigs.k8s.io", "github.com/argoproj", "github.com/go-git", "github.com/nats-io/nats-server"},
	"cmd/schemawave":        {"github.com/nats-io/nats-server", "testing"},
	"controller":            {module + "migrations/postgres", "github.com/jackc"},
}

type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

// TestImports holds the table of who may import whom.
func TestImports(t *testing.T) {
	packages := list(t, "-deps", "./...")
	standard := map[string]bool{}
	for _, p := range packages {
		standard[p.ImportPath] = p.Standard
	}
	seen := map[string]bool{}
	for _, p := range packages {
		room, ok := roomOf(p.ImportPath)
		if !ok || strings.HasSuffix(p.ImportPath, "test") && p.ImportPath != module+room {
			continue
		}
		seen[room] = true
		for _, imported := range p.Imports {
			if !allowed(imported, room, standard[imported]) {
				t.Errorf("%s imports %s, which room %s may not", p.ImportPath, imported, room)
			}
		}
	}
	for room := range rooms {
		if !seen[room] {
			t.Errorf("room %s has no package: the table is out of date", room)
		}
	}
}

// TestLinked holds what the small programs and libraries must never carry.
func TestLinked(t *testing.T) {
	for target, bad := range forbidden {
		for _, p := range list(t, "./"+target) {
			for _, dep := range p.Deps {
				if slices.ContainsFunc(bad, func(b string) bool { return within(dep, b) }) {
					t.Errorf("%s links %s", target, dep)
				}
			}
		}
	}
}

// roomOf returns the longest entry of rooms that holds the package.
func roomOf(path string) (string, bool) {
	path, ok := strings.CutPrefix(path, module)
	if !ok {
		return "", false
	}
	best := ""
	for room := range rooms {
		if within(path, room) && len(room) > len(best) {
			best = room
		}
	}
	return best, best != ""
}

func allowed(imported, room string, standard bool) bool {
	if standard {
		return true
	}
	if own, ok := roomOf(imported); ok && own == room {
		return true
	}
	return slices.ContainsFunc(rooms[room], func(a string) bool {
		if within(imported, a) {
			return true
		}
		own, ok := roomOf(imported)
		return ok && own == a
	})
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports,Deps"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		if e := (*exec.ExitError)(nil); errors.As(err, &e) {
			t.Fatalf("go list %v: %v\n%s", args, err, e.Stderr)
		}
		t.Fatal(err)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
