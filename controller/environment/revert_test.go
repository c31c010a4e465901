package environment

import (
	"strings"
	"testing"
)

// upgrade is a controller with another version of Schemawave: it renders everything differently.
func upgrade(o *Options) { o.Render = each(digestRenderer{version: "2"}.render) }

// rendered is a repository with one overlay, rendered, and a person's clone that is up to date.
func rendered(t *testing.T) (*host, *person, *writer) {
	h := newHost(t)
	p := h.repository("env", shop("orders", "billing"))
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Pushed)
	p.pull()
	return h, p, w
}

// leftAlone makes a pass by the running writer and one by a new leader; neither may touch the overlay.
func leftAlone(t *testing.T, h *host, p *person, w *writer) {
	t.Helper()
	tip := p.tip()
	rep := pass(t, w, Current)
	equal(t, "held by the writer that saw it happen", rep.Held, []string{"apps/orders"})
	rep = pass(t, start(t, nil, h.url("env")).only(), Current)
	equal(t, "held by a new leader", rep.Held, []string{"apps/orders"})
	if p.tip() != tip {
		t.Fatalf("%s was pushed on top of the revert %s", p.tip(), tip)
	}
}

func TestRevertOfRenderedCommitIsRespected(t *testing.T) {
	h, p, w := rendered(t)
	p.commit("source", map[string]string{"migrations/orders/0002_more.sql": "alter table orders;\n"})
	p.push()
	pass(t, w, Pushed)
	p.pull()
	p.git("revert", "--no-edit", "HEAD")
	p.push()
	leftAlone(t, h, p, w)

	// Other work on the branch does not end it, for this writer or the next.
	p.commit("elsewhere", map[string]string{"README.md": "x\n", "migrations/billing/0002_more.sql": "x\n"})
	p.push()
	equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"apps/billing"})
	again := start(t, nil, h.url("env")).only()
	equal(t, "held later on", pass(t, again, Current).Held, []string{"apps/orders"})

	// A source does.
	p.pull()
	p.commit("source again", map[string]string{"migrations/orders/0003_fix.sql": "alter table orders;\n"})
	p.push()
	rep := pass(t, again, Pushed)
	equal(t, "rendered", rep.Rendered, []string{"apps/orders"})
	equal(t, "held", rep.Held, nil)
}

func TestRevertOfFirstRenderIsRespected(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Pushed)
	p.pull()
	p.git("revert", "--no-edit", "HEAD") // takes the entry out of the kustomization, which is a source
	p.push()
	leftAlone(t, h, p, w)
}

func TestRevertThroughMergeIsRespected(t *testing.T) {
	h, p, w := rendered(t)
	p.git("checkout", "-q", "-b", "undo")
	p.git("rm", "-q", "-r", "apps/orders/schemawave")
	p.commit("undo", map[string]string{"apps/orders/kustomization.yaml": "# of orders\nresources:\n- ../base\n"})
	p.git("checkout", "-q", "main")
	p.commit("elsewhere", map[string]string{"README.md": "x\n"})
	p.git("merge", "-q", "--no-edit", "undo")
	p.push()
	leftAlone(t, h, p, w)
}

func TestRevertWithSourceChangeIsRendered(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		h, p, w := rendered(t)
		p.git("revert", "--no-edit", "HEAD")
		p.commit("source", map[string]string{"migrations/orders/0002_more.sql": "x\n"})
		p.push()
		if fresh {
			w = start(t, nil, h.url("env")).only()
		}
		rep := pass(t, w, Pushed)
		equal(t, "rendered", rep.Rendered, []string{"apps/orders"})
		equal(t, "held", rep.Held, []string{"apps/billing"})
	}
}

func TestRevertOfSourceAndRenderIsCurrent(t *testing.T) {
	h, p, w := rendered(t)
	p.commit("source", map[string]string{"migrations/orders/0002_more.sql": "x\n"})
	p.push()
	pass(t, w, Pushed)
	p.pull()
	p.git("revert", "--no-edit", "HEAD", "HEAD~1")
	p.push()
	equal(t, "held", pass(t, w, Current).Held, nil)
	equal(t, "held", pass(t, start(t, nil, h.url("env")).only(), Current).Held, nil)
}

func TestHandEditIsLeftAlone(t *testing.T) {
	h, p, w := rendered(t)
	p.commit("by hand", map[string]string{"apps/orders/schemawave/job.yaml": "digest: mine\n"})
	p.push()
	leftAlone(t, h, p, w)
}

func TestPushedRenderingOfSourcesIsCurrent(t *testing.T) {
	_, p, w := rendered(t)
	p.commit("source, rendered on a laptop", map[string]string{
		"migrations/orders/0002_more.sql": "x\n",
		"apps/orders/schemawave/job.yaml": digest("1", "0001_init.sql", "create table orders();\n", "0002_more.sql", "x\n"),
	})
	p.push()
	rep := pass(t, w, Current)
	equal(t, "held", rep.Held, nil)
	equal(t, "touched", rep.Touched, []string{"apps/orders"})
}

func TestUpgradeRendersAgain(t *testing.T) {
	h, p, w := rendered(t)
	p.commit("by hand", map[string]string{"apps/orders/schemawave/job.yaml": "digest: mine\n"})
	p.push()
	pass(t, w, Current)
	rep := pass(t, start(t, upgrade, h.url("env")).only(), Pushed)
	equal(t, "rendered", rep.Rendered, []string{"apps/billing"})
	equal(t, "held", rep.Held, []string{"apps/orders"})
	if got := p.show("apps/billing/schemawave/job.yaml"); !strings.HasPrefix(got, "# generated 2\n") {
		t.Errorf("after the upgrade: %q", got)
	}
}

func TestForgottenCommitIsRenderedAgain(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		h, p, w := rendered(t)
		p.git("reset", "-q", "--hard", "HEAD~1") // an old clone, force-pushed over ours
		p.commit("from an old clone", map[string]string{"README.md": "x\n"})
		p.git("push", "-q", "--force", "origin", "HEAD:main")
		if fresh {
			w = start(t, nil, h.url("env")).only()
		}
		equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"apps/billing", "apps/orders"})
	}
}

// A verdict may need history far older than what a clone begins with.
func TestRevertIsFoundFarBack(t *testing.T) {
	h, p, w := rendered(t)
	p.git("revert", "--no-edit", "HEAD")
	p.emptyCommits(700)
	p.push()
	tip := p.tip()
	again := start(t, nil, h.url("env")).only()
	equal(t, "held", pass(t, again, Current).Held, []string{"apps/billing", "apps/orders"})
	equal(t, "held", pass(t, w, Current).Held, []string{"apps/billing", "apps/orders"})
	if p.tip() != tip {
		t.Error("the revert was overwritten")
	}
	if again.clone.packs < 3 {
		t.Errorf("history was fetched in %d packs: the test does not reach far enough back", again.clone.packs)
	}
}
