package environment

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

// start makes a controller with the stand-in renderer; its only writer is driven by hand.
func start(t testing.TB, change func(*Options), urls ...string) *Controller {
	t.Helper()
	r := digestRenderer{version: "1"}
	o := Options{
		Config: Config{Directory: t.TempDir()},
		List:   r.list, Render: each(r.render),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, u := range urls {
		o.Config.Repositories = append(o.Config.Repositories, Repository{URL: u})
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, w := range c.writers {
			w.forget()
		}
	})
	return c
}

func (c *Controller) only() *writer { return c.writers[0] }

// pass makes one pass and expects its result.
func pass(t testing.TB, w *writer, want Result) Report {
	t.Helper()
	rep := w.pass(context.Background())
	if rep.Result != want {
		t.Fatalf("pass: %s (%v), want %s", rep.Result, rep.Err, want)
	}
	return rep
}

func equal[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestFirstPassRendersEveryOverlay(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders", "billing"))
	source := p.tip()
	w := start(t, nil, h.url("env")).only()

	rep := pass(t, w, Pushed)
	equal(t, "rendered", rep.Rendered, []string{"apps/billing", "apps/orders"})
	if rep.Commit != p.tip() || rep.Source != source {
		t.Errorf("report names %s from %s, the host has %s from %s", rep.Commit, rep.Source, p.tip(), source)
	}
	if got, want := p.show("apps/orders/schemawave/job.yaml"), digest("1", "0001_init.sql", "create table orders();\n"); got != want {
		t.Errorf("rendered %q, want %q", got, want)
	}
	if got := p.show("apps/orders/kustomization.yaml"); got != "# of orders\nresources:\n- schemawave\n- ../base\n" {
		t.Errorf("kustomization %q", got)
	}
	log := git(t, p.bare, "log", "-1", "--format=%an <%ae>%n%B", "main")
	for _, want := range []string{"schemawave <schemawave@localhost>", "Render schema migrations of 2 overlays", "\napps/orders\n", "\n\nSchemawave-Rendered: " + source + "\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("the commit lacks %q:\n%s", want, log)
		}
	}
	git(t, p.bare, "fsck", "--strict")
	p.pull()
	if status := p.git("status", "--porcelain"); status != "" {
		t.Errorf("a person's clone after pulling: %s", status)
	}
}

// A report says when the pass began, and how long each step of the last try took, down to the one that failed.
func TestReportHasTheSteps(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	steps := func(rep Report, want ...string) {
		t.Helper()
		var names []string
		at := rep.Began
		for _, s := range rep.Steps {
			names = append(names, s.Name)
			if s.Began.Before(at) || s.Ended.Before(s.Began) {
				t.Errorf("%s from %v to %v, after %v", s.Name, s.Began, s.Ended, at)
			}
			at = s.Ended
		}
		equal(t, "steps", names, want)
	}
	steps(pass(t, w, Pushed), "fetch", "render", "push")
	steps(pass(t, w, Unchanged), "fetch")
	p.pull()
	p.commit("docs", map[string]string{"README": "nothing to render\n"})
	p.push()
	steps(pass(t, w, Current), "fetch", "render")
	h.down()
	steps(pass(t, w, Failed), "fetch")
}

func TestOwnCommitIsNotAnswered(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	first := pass(t, w, Pushed)
	pass(t, w, Unchanged)

	again := start(t, nil, h.url("env")).only() // a new leader, which knows nothing
	pass(t, again, Current)
	pass(t, again, Unchanged)
	if p.tip() != first.Commit {
		t.Errorf("the host moved on from %s to %s", first.Commit, p.tip())
	}
}

func TestOnlyTouchedOverlaysAreRendered(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders", "billing", "search"))
	var mu sync.Mutex
	var seen []string
	r := digestRenderer{version: "1"}
	w := start(t, func(o *Options) {
		o.Render = each(func(ctx context.Context, root, overlay string) (Rendering, error) {
			mu.Lock()
			seen = append(seen, overlay)
			mu.Unlock()
			return r.render(ctx, root, overlay)
		})
	}, h.url("env")).only()
	pass(t, w, Pushed)
	p.pull()

	for _, c := range []struct {
		reason   string
		files    map[string]string
		seen     []string
		rendered []string
		result   Result
	}{
		{"the migrations directory", map[string]string{"migrations/orders/0002_more.sql": "create index;\n"},
			[]string{"apps/orders"}, []string{"apps/orders"}, Pushed},
		{"a base, which all include", map[string]string{"apps/base/deployment.yaml": "kind: Deployment\nmetadata: {}\n"},
			[]string{"apps/billing", "apps/orders", "apps/search"}, nil, Current},
		{"nothing an overlay is made from", map[string]string{"README.md": "more\n"}, nil, nil, Current},
		{"the overlay's own file", map[string]string{"apps/search/notes.txt": "x\n"}, []string{"apps/search"}, nil, Current},
		{"an overlay that is new", map[string]string{
			"apps/mail/kustomization.yaml": "resources:\n", "apps/mail/migration.yaml": "spec: {source: {directory: sql}}\n", "apps/mail/sql/1.sql": "x\n"},
			[]string{"apps/mail"}, []string{"apps/mail"}, Pushed},
	} {
		seen = nil
		p.commit(c.reason, c.files)
		p.push()
		rep := pass(t, w, c.result)
		slices.Sort(seen)
		equal(t, c.reason+": looked at", seen, c.seen)
		equal(t, c.reason+": rendered", rep.Rendered, c.rendered)
		p.pull()
	}
}
