package environment

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A person pushes exactly between our fetch and our push.
func TestRejectedPushIsRenderedAnew(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders", "billing"))
	w := start(t, nil, h.url("env")).only()
	var pushes atomic.Int32
	before := func() {
		if pushes.Add(1) <= 3 {
			p.commit("meanwhile", map[string]string{fmt.Sprintf("migrations/orders/%04d.sql", pushes.Load()+1): "x\n"})
			p.push()
		}
	}
	h.before.Store(&before)

	rep := pass(t, w, Pushed)
	if rep.Tries != 4 || rep.Source != p.head() {
		t.Errorf("pushed %s after %d tries, want one from %s after 4", rep.Source, rep.Tries, p.head())
	}
	want := digest("1", "0001_init.sql", "create table orders();\n", "0002.sql", "x\n", "0003.sql", "x\n", "0004.sql", "x\n")
	if got := p.show("apps/orders/schemawave/job.yaml"); got != want {
		t.Errorf("rendered %q, want %q", got, want)
	}
	if ours := p.ours(); len(ours) != 1 {
		t.Errorf("%d commits of ours, want 1", len(ours))
	}
}

func TestEndlessContentionIsAFaultThatHeals(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	n := 0
	before := func() {
		n++
		p.commit("meanwhile", map[string]string{"README.md": fmt.Sprint(n)})
		p.push()
	}
	h.before.Store(&before)
	fails(t, w, FaultContended, "somebody else pushed in between, 10 times in a row")
	h.before.Store(nil)
	equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"apps/orders"})
}

// Fifty pushes by a person against a writer that is woken by each of them and pushes too.
func TestRacingPushesLoseNothing(t *testing.T) {
	const n = 50
	h := newHost(t)
	p := h.repository("env", shop("orders", "billing"))
	c := start(t, nil, h.url("env"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	defer func() { cancel(); <-done }()

	for i := 2; i < n+2; i++ {
		service := []string{"orders", "billing"}[i%2]
		p.commit(fmt.Sprint("migration ", i), map[string]string{fmt.Sprintf("migrations/%s/%04d.sql", service, i): fmt.Sprintln("step", i)})
		for {
			if out, err := tryGit(p.dir, "push", "-q", "origin", "HEAD:main"); err == nil {
				break
			} else if !strings.Contains(out, "rejected") && !strings.Contains(out, "failed to push") {
				t.Fatal(out)
			}
			p.pull()
		}
		c.only().wake()
		time.Sleep(time.Duration(i%5) * 60 * time.Millisecond) // sometimes a person is quicker, sometimes the writer
	}
	if log := git(t, p.bare, "log", "--format=%s", "main"); strings.Count(log, "migration ") != n {
		t.Fatalf("%d of a person's %d commits are on the host", strings.Count(log, "migration "), n)
	}
	want := map[string]string{}
	for offset, service := range []string{"orders", "billing"} {
		files := []string{"0001_init.sql", "create table " + service + "();\n"}
		for i := 2 + offset; i < n+2; i += 2 {
			files = append(files, fmt.Sprintf("%04d.sql", i), fmt.Sprintln("step", i))
		}
		want[service] = digest("1", files...)
	}
	eventually(t, "both overlays are rendered from all migrations", func() bool {
		orders, _ := tryGit(p.bare, "show", "main:apps/orders/schemawave/job.yaml")
		billing, _ := tryGit(p.bare, "show", "main:apps/billing/schemawave/job.yaml")
		return orders == want["orders"] && billing == want["billing"]
	})
	ours := p.ours()
	for _, commit := range ours {
		if files := git(t, p.bare, "show", "--format=", "--name-only", commit); strings.TrimSpace(files) == "" {
			t.Errorf("our commit %s changes nothing", commit)
		}
		message := git(t, p.bare, "show", "-s", "--format=%B", commit)
		if parent := strings.TrimSpace(git(t, p.bare, "rev-parse", commit+"^")); !strings.Contains(message, trailer+": "+parent+"\n") {
			t.Errorf("our commit %s does not name its source", commit)
		}
	}
	t.Logf("%d pushes by a person, %d by the writer", n, len(ours))
	tip := p.tip()
	c.only().wake()
	time.Sleep(4 * minPause)
	if p.tip() != tip {
		t.Error("the writer answered its own commit")
	}
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func TestTwoRepositoriesAreIndependent(t *testing.T) {
	up, down := newHost(t), newHost(t)
	p := up.repository("env", shop("orders"))
	q := down.repository("env", shop("orders"))
	down.down()
	refreshed := make(chan []string, 10)
	var failures atomic.Int32
	c := start(t, func(o *Options) {
		o.Refresh = func(_ context.Context, url, branch string, paths []string) (int, error) {
			if failures.Add(1) == 1 {
				return 0, fmt.Errorf("the API server is away")
			}
			if branch != "main" || !strings.HasSuffix(url, "/env.git") {
				t.Errorf("refresh of %s, branch %s", url, branch)
			}
			refreshed <- paths
			return len(paths), nil
		}
	}, down.url("env"), up.url("env"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	defer func() { cancel(); <-done }()

	eventually(t, "the repository that is up is rendered", func() bool { return len(p.ours()) == 1 })
	select {
	case paths := <-refreshed:
		equal(t, "refreshed", paths, []string{"apps/orders"})
	case <-time.After(20 * time.Second):
		t.Fatal("no refresh after the first failed")
	}
	p.pull() // a push that needs no rendering is refreshed too
	p.commit("replicas", map[string]string{"apps/base/deployment.yaml": "replicas: 3\n"})
	p.push()
	c.writers[1].wake()
	select {
	case paths := <-refreshed:
		equal(t, "refreshed", paths, []string{"apps/base", "apps/orders"})
	case <-time.After(20 * time.Second):
		t.Fatal("no refresh of a push without rendering")
	}
	if len(q.ours()) != 0 {
		t.Fatal("the host that is down has a commit")
	}
	down.up()
	eventually(t, "the other one heals by itself", func() bool { return len(q.ours()) == 1 })

	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Run does not stop")
	}
	if _, err := os.Stat(c.writers[0].dir); err != nil {
		t.Errorf("clones live below the configured directory: %v", err)
	}
}
