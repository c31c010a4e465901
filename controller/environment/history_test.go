package environment

import (
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// commits counts those that the clone holds.
func (c *clone) commits(t *testing.T) (n int) {
	t.Helper()
	all, err := c.objects.IterEncodedObjects(plumbing.CommitObject)
	if err == nil {
		err = all.ForEach(func(plumbing.EncodedObject) error { n++; return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A clone that holds one commit does not fetch all others because of a branch that began before it, or a branch that was
// pushed anew.
func TestCloneStaysShallow(t *testing.T) {
	for _, c := range []struct {
		reason string
		change func(*person)
	}{
		{"a commit", func(p *person) {
			p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
		}},
		{"a merge of a branch that began long ago", func(p *person) {
			p.git("checkout", "-q", "-b", "side", "HEAD~100")
			p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
			p.git("checkout", "-q", "main")
			p.git("merge", "-q", "--no-ff", "-m", "merge", "side")
		}},
		{"a push by force", func(p *person) {
			p.git("reset", "-q", "--hard", "HEAD~100")
			p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			h := newHost(t)
			p := h.repository("env", shop("orders"))
			pass(t, start(t, nil, h.url("env")).only(), Pushed)
			p.pull()
			p.emptyCommits(300)
			p.push()
			w := start(t, nil, h.url("env")).only()
			pass(t, w, Current)
			c.change(p)
			p.git("push", "-q", "-f", "origin", "HEAD:main")
			equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"apps/orders"})
			if n := w.clone.commits(t); n > 3*recentHistory {
				t.Errorf("the clone holds %d commits", n)
			}
		})
	}
}
