package environment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckoutFollowsTheTree(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", map[string]string{"a": "file\n", "b/c/d": "deep\n", "run.sh": "#!/bin/sh\n", "old/only": "x\n"})
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Current)

	p.git("rm", "-q", "-r", "a", "b", "old")
	p.write(map[string]string{"a/now/a/directory": "x\n", "b": "now a file\n"})
	if err := os.Chmod(filepath.Join(p.dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.commit("turn around", nil)
	p.push()
	pass(t, w, Current)
	for _, name := range []string{"a/now/a/directory", "b", "run.sh"} {
		want, _ := os.ReadFile(filepath.Join(p.dir, name))
		if got, err := os.ReadFile(w.checkout.path(name)); err != nil || string(got) != string(want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if info, err := os.Stat(w.checkout.path("run.sh")); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("run.sh: %v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(w.checkout.path("old")); err == nil {
		t.Error("an empty directory stays behind")
	}
}

// A repository must not reach the controller's own files, which hold the credentials of other repositories.
func TestLinksOutOfTheRepositoryAreNotFollowed(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "token"), []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	p := h.repository("env", map[string]string{"deep/er/file": "x\n", "real/sql/1.sql": "select 1;\n"})
	for name, target := range map[string]string{
		"absolute":   outside,
		"relative":   "../../../../../../../../../../" + outside,
		"top":        "deep/er/up/../../../../../../../..", // through a link, past where its own text leads
		"deep/er/up": "../..",
		"good":       "real/sql",
		"loop":       "loop",
		"dangling":   "nowhere",
		"via":        "absolute",
	} {
		if err := os.Symlink(target, filepath.Join(p.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p.commit("links", nil)
	p.push()
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Current)
	for _, name := range []string{"absolute", "relative", "top", "via", "loop"} {
		if _, err := os.Lstat(w.checkout.path(name)); err == nil {
			t.Errorf("%s is checked out", name)
		}
	}
	if got, err := os.ReadFile(w.checkout.path("good/1.sql")); err != nil || string(got) != "select 1;\n" {
		t.Errorf("good: %q, %v", got, err)
	}
	_ = filepath.WalkDir(w.checkout.dir, func(name string, d os.DirEntry, _ error) error {
		if real, err := filepath.EvalSymlinks(name); err == nil && !strings.HasPrefix(real, w.checkout.dir) {
			t.Errorf("%s leads to %s", name, real)
		}
		return nil
	})
	// The same link becomes harmful later, when another one changes.
	p.git("rm", "-q", "good")
	if err := os.Symlink("deep/er/up/..", filepath.Join(p.dir, "good")); err != nil {
		t.Fatal(err)
	}
	p.commit("turn", nil)
	p.push()
	pass(t, w, Current)
	if _, err := os.Lstat(w.checkout.path("good")); err == nil {
		t.Error("good leads out now, and is checked out")
	}
}

func TestOverlayWithLinkedGeneratedDirectoryIsRefused(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	if err := os.MkdirAll(filepath.Join(p.dir, "elsewhere"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../elsewhere", filepath.Join(p.dir, "apps/orders/schemawave")); err != nil {
		t.Fatal(err)
	}
	p.commit("link", map[string]string{"elsewhere/keep": "x\n"})
	p.push()
	w := start(t, nil, h.url("env")).only()
	if rep := pass(t, w, Current); !strings.Contains(rep.Broken["apps/orders"], "cannot be links") {
		t.Errorf("broken: %q", rep.Broken)
	}
}

func TestLinkedMigrationsAreASource(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	p.git("mv", "migrations/orders", "sql")
	if err := os.MkdirAll(filepath.Join(p.dir, "migrations"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../sql", filepath.Join(p.dir, "migrations/orders")); err != nil {
		t.Fatal(err)
	}
	p.commit("link", nil)
	p.push()
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Pushed)
	p.pull()
	p.commit("source", map[string]string{"sql/0002.sql": "x\n"})
	p.push()
	equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"apps/orders"})
}
