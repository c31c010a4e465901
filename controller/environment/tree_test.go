package environment

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Whatever is edited, the tree is the one that git itself makes of it.
func TestRewriteAgreesWithGit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "a.b", "a-b", "a/x", "a/y/z", "a0", "b/c/d", "b/c.d", "b/c-", "orders/schemawave/job.yaml", "orders.yaml", "orders-x/k", "Ä/ö"}
	h := newHost(t)
	p := h.repository("env", map[string]string{"keep/me": "x\n", "b/c/d": "1\n"})
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Current)
	for round := range 25 {
		head, err := w.clone.commit(w.done)
		if err != nil {
			t.Fatal(err)
		}
		var edits []edit
		touched := map[string]bool{}
		for range 1 + r.IntN(5) {
			name := names[r.IntN(len(names))]
			if clashes(name, touched) {
				continue
			}
			touched[name] = true
			e := edit{path: name, content: []byte(fmt.Sprint(r.IntN(4))), mode: filemode.Regular}
			if r.IntN(3) == 0 {
				e = edit{path: name}
			}
			edits = append(edits, e)
			file := filepath.Join(p.dir, name)
			if e.mode == filemode.Empty {
				if info, err := os.Lstat(file); err == nil && info.IsDir() {
					_ = os.RemoveAll(file)
				} else {
					_ = os.Remove(file)
				}
				continue
			}
			for dir := filepath.Dir(file); dir != p.dir; dir = filepath.Dir(dir) {
				if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
					_ = os.Remove(dir)
				}
			}
			_ = os.RemoveAll(file)
			p.write(map[string]string{name: string(e.content)})
		}
		got, err := newStage(w.clone).rewrite(head.TreeHash, edits)
		if err != nil {
			t.Fatal(err)
		}
		p.git("add", "-A")
		if want := strings.TrimSpace(p.git("write-tree")); got.String() != want {
			t.Fatalf("round %d: %+v: tree %s, git makes %s\n%s", round, edits, got, want, p.git("ls-files", "-s"))
		}
		p.git("commit", "-q", "--allow-empty", "-m", "round")
		p.push()
		before := head.TreeHash
		pass(t, w, Current)
		after, err := w.clone.commit(w.done)
		if err != nil {
			t.Fatal(err)
		}
		agreesWithGit(t, p, w.clone, before.String(), after.TreeHash.String())
	}
}

// clashes reports whether one edit would be to a file in the other's place.
func clashes(name string, others map[string]bool) bool {
	for o := range others {
		if within(name, o) || within(o, name) {
			return true
		}
	}
	return false
}

// agreesWithGit compares diff with git's.
func agreesWithGit(t *testing.T, p *person, c *clone, from, to string) {
	t.Helper()
	changes, err := c.diff(hash(from), hash(to))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ch := range changes {
		got = append(got, ch.path)
	}
	want := strings.FieldsFunc(p.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to), func(r rune) bool { return r == 0 })
	equal(t, "differing files", got, want)
}
