package environment

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// keepTips has the repository write down every tip that its branch ever has, in the order it has them.
func keepTips(t *testing.T, bare string) (tips func() []string) {
	t.Helper()
	git(t, bare, "config", "core.logAllRefUpdates", "always")
	return func() []string {
		log, err := os.ReadFile(filepath.Join(bare, "logs", "refs", "heads", "main"))
		if err != nil {
			t.Fatal(err)
		}
		var tips []string
		for line := range strings.Lines(string(log)) {
			tips = append(tips, strings.Fields(line)[1])
		}
		return tips
	}
}

// Twenty people push to one branch at once, each until it is taken, against two replicas that both think they lead.
func TestCrowdOnOneBranch(t *testing.T) {
	const people = 20
	h := newHost(t)
	services := []string{"orders", "billing", "search", "mail"}
	first := h.repository("env", shop(services...))
	tips := keepTips(t, first.bare)
	ctx, cancel := context.WithCancel(t.Context())
	var replicas sync.WaitGroup
	defer replicas.Wait()
	defer cancel()
	writers := []*Controller{start(t, nil, h.url("env")), start(t, nil, h.url("env"))}
	for _, c := range writers {
		replicas.Go(func() { _ = c.Run(ctx) })
	}

	var crowd sync.WaitGroup
	errs := make(chan error, people)
	for i := range people {
		p := &person{t: t, dir: filepath.Join(t.TempDir(), "clone"), bare: first.bare}
		git(t, h.dir, "clone", "-q", h.url("env"), p.dir)
		crowd.Go(func() { errs <- p.pushUntilTaken(i, services[i%len(services)], writers) })
	}
	crowd.Wait()
	for range people {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "every overlay is rendered from all migrations", func() bool {
		for _, s := range services {
			var files []string
			for name := range strings.FieldsSeq(git(t, first.bare, "ls-tree", "--name-only", "main", "migrations/"+s+"/")) {
				files = append(files, filepath.Base(name), git(t, first.bare, "show", "main:"+name))
			}
			if got, _ := tryGit(first.bare, "show", "main:apps/"+s+"/schemawave/job.yaml"); got != digest("1", files...) {
				return false
			}
		}
		return true
	})
	cancel()
	replicas.Wait()

	if n := strings.Count(git(t, first.bare, "log", "--format=%s", "main"), "by person "); n != people {
		t.Errorf("%d of %d commits of people are on the branch", n, people)
	}
	all := tips()
	if len(all) <= people {
		t.Fatalf("%d tips were kept of more than %d pushes", len(all), people)
	}
	for i, tip := range all[:len(all)-1] {
		if _, err := tryGit(first.bare, "merge-base", "--is-ancestor", tip, all[i+1]); err != nil {
			t.Errorf("forced: the branch went from %s to %s, which does not descend from it", tip, all[i+1])
		}
	}
	ours := first.ours()
	if len(ours) > people+1 {
		t.Errorf("%d commits of ours for %d changes and the first state", len(ours), people)
	}
	for _, commit := range ours {
		if strings.TrimSpace(git(t, first.bare, "show", "--format=", "--name-only", commit)) == "" {
			t.Errorf("our commit %s changes nothing", commit)
		}
		if parent := git(t, first.bare, "show", "-s", "--format=%B", commit+"^"); strings.Contains(parent, trailer+": ") {
			t.Errorf("our commit %s answers one of ours", commit)
		}
	}
	t.Logf("%d pushes by people, %d by the writers, %d tips", people, len(ours), len(all))
}

// pushUntilTaken adds a migration, and gives way to others as git tells people to.
func (p *person) pushUntilTaken(me int, service string, writers []*Controller) error {
	file := filepath.Join(p.dir, "migrations", service, fmt.Sprintf("%04d.sql", me+10))
	if err := os.WriteFile(file, []byte(fmt.Sprintln("step", me)), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", fmt.Sprintf("by person %d", me)}} {
		if out, err := tryGit(p.dir, args...); err != nil {
			return fmt.Errorf("git %s: %s", args, out)
		}
	}
	for {
		out, err := tryGit(p.dir, "push", "-q", "origin", "HEAD:main")
		if err == nil {
			break
		}
		if !strings.Contains(out, "rejected") && !strings.Contains(out, "failed to push") {
			return fmt.Errorf("git push: %s", out)
		}
		if out, err := tryGit(p.dir, "pull", "-q", "--rebase", "origin", "main"); err != nil {
			return fmt.Errorf("git pull: %s", out)
		}
	}
	for _, c := range writers {
		c.only().wake()
	}
	return nil
}
