package environment

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const ownBranch = "schemawave/main"

// branch is where a branch is on the host; empty if it is not there.
func (p *person) branch(name string) string {
	p.t.Helper()
	return strings.TrimSpace(git(p.t, p.bare, "for-each-ref", "--format=%(objectname)", "refs/heads/"+name))
}

// hosted makes the repository of a test at the path that a kind of host has it.
func hosted(t *testing.T, h *host, kind HostKind, files map[string]string) (*person, string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(h.dir, forgePath(kind))), 0o755); err != nil {
		t.Fatal(err)
	}
	return h.repository(forgePath(kind), files), h.url(forgePath(kind))
}

func TestPullRequestOnEveryHost(t *testing.T) {
	for kind := range dialects {
		t.Run(string(kind), func(t *testing.T) {
			f := newForge(t, kind)
			p, url := hosted(t, newHost(t), kind, shop("orders", "billing"))
			source := p.tip()
			w := start(t, f.proposing, url).only()

			rep := pass(t, w, Proposed)
			equal(t, "proposed", rep.Rendered, []string{"apps/billing", "apps/orders"})
			if p.tip() != source || p.branch(ownBranch) != rep.Commit || rep.PullRequest == "" {
				t.Errorf("main at %s, %s at %s; reported %s of %s", p.tip(), ownBranch, p.branch(ownBranch), rep.Commit, rep.PullRequest)
			}
			git(t, p.bare, "fsck", "--strict")
			made := f.newest()
			for _, want := range []string{"- apps/orders\n", "Rendered from " + source + " of main", changesTrailer + ": "} {
				if made.title != "Render schema migrations of 2 overlays" || !strings.Contains(made.body, want) {
					t.Errorf("the pull request %q lacks %q:\n%s", made.title, want, made.body)
				}
			}
			pass(t, w, Unchanged)

			p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
			p.push()
			rep = pass(t, w, Proposed)
			again := f.newest()
			if again.id != made.id || again.body == made.body || p.branch(ownBranch) != rep.Commit {
				t.Errorf("the pull request is not brought up to date: %+v", again)
			}
			if parent := strings.TrimSpace(git(t, p.bare, "rev-parse", ownBranch+"^")); parent != p.tip() {
				t.Errorf("the proposal is on top of %s, not of main", parent)
			}

			p.commit("no migrations", map[string]string{"apps/orders/migration.yaml": "", "apps/billing/migration.yaml": ""})
			p.push()
			pass(t, w, Current)
			if got := f.newest().state; got != "closed" || p.branch(ownBranch) != "" {
				t.Errorf("nothing is left to propose: %s, branch at %q", got, p.branch(ownBranch))
			}
			pass(t, w, Unchanged)
		})
	}
}

// What was closed is not proposed again, also when the branch is deleted, and a fork's pull request from a branch of the same
// name is none of ours.
func TestClosedPullRequestOnEveryHost(t *testing.T) {
	for kind := range dialects {
		t.Run(string(kind), func(t *testing.T) {
			f := newForge(t, kind)
			p, url := hosted(t, newHost(t), kind, shop("orders"))
			fork := &forgePull{1, ownBranch, "main", "a fork's", "x", "open", 1}
			f.pulls = append(f.pulls, fork)
			w := start(t, f.proposing, url).only()
			pass(t, w, Proposed)
			f.set("closed")
			f.pulls = append(f.pulls, &forgePull{3, ownBranch, "main", "a fork's", "x", "open", 1})
			git(t, p.bare, "update-ref", "-d", "refs/heads/"+ownBranch)
			equal(t, "held", pass(t, w, Current).Held, []string{"apps/orders"})
			equal(t, "held by a new leader", pass(t, start(t, f.proposing, url).only(), Current).Held, []string{"apps/orders"})
			if len(f.pulls) != 3 || fork.state != "open" || fork.title != "a fork's" {
				t.Errorf("proposed again, or a fork's was changed: %+v", fork)
			}
		})
	}
}

func TestPullRequestIsLeftAloneUntilItsChangesChange(t *testing.T) {
	f := newForge(t, GitHub)
	p, url := hosted(t, newHost(t), GitHub, shop("orders"))
	w := start(t, f.proposing, url).only()
	first := pass(t, w, Proposed).Commit
	p.commit("elsewhere", map[string]string{"README.md": "more\n"})
	p.push()
	pass(t, w, Current)
	if p.branch(ownBranch) != first {
		t.Error("a commit elsewhere rewrote the proposal")
	}
	pass(t, start(t, f.proposing, url).only(), Current) // a new leader, which knows nothing
	if p.branch(ownBranch) != first || len(f.pulls) != 1 {
		t.Error("a new leader proposed the same again")
	}
}

// Merged is done, and reverted after that is a person's word.
func TestMergedPullRequest(t *testing.T) {
	mainline := map[string][]string{"merge commit": {"-m", "1"}}
	for how, merge := range map[string][]string{
		"merge commit": {"merge", "-q", "--no-ff", "-m", "merge", "origin/" + ownBranch},
		"fast forward": {"merge", "-q", "--ff-only", "origin/" + ownBranch},
		"squash":       {"cherry-pick", "origin/" + ownBranch},
	} {
		t.Run(how, func(t *testing.T) {
			f := newForge(t, GitHub)
			p, url := hosted(t, newHost(t), GitHub, shop("orders"))
			w := start(t, f.proposing, url).only()
			pass(t, w, Proposed)
			p.git("fetch", "-q")
			p.git(merge...)
			p.push()
			f.set("merged")
			pass(t, w, Current)
			if p.branch(ownBranch) != "" {
				t.Error("the branch of what is merged is not deleted")
			}
			p.git(append([]string{"revert", "--no-edit", "HEAD"}, mainline[how]...)...)
			p.push()
			equal(t, "held", pass(t, w, Current).Held, []string{"apps/orders"})
			equal(t, "held by a new leader", pass(t, start(t, f.proposing, url).only(), Current).Held, []string{"apps/orders"})
		})
	}
}

// A person's no is final, until a source changes.
func TestDeclinedPullRequest(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		f := newForge(t, GitHub)
		p, url := hosted(t, newHost(t), GitHub, shop("orders"))
		w := start(t, f.proposing, url).only()
		pass(t, w, Proposed)
		f.set("closed")
		if deleted {
			p.git("push", "-q", "origin", ":"+ownBranch)
		}
		p.commit("elsewhere", map[string]string{"README.md": "more\n"})
		p.push()
		equal(t, "held", pass(t, w, Current).Held, []string{"apps/orders"})
		equal(t, "held by a new leader", pass(t, start(t, f.proposing, url).only(), Current).Held, []string{"apps/orders"})
		if len(f.pulls) != 1 {
			t.Fatal("what was declined is proposed again")
		}
		p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
		p.push()
		if rep := pass(t, w, Proposed); len(rep.Held) != 0 || f.newest().state != "open" || len(f.pulls) != 2 {
			t.Errorf("a new source is not proposed: %+v", rep)
		}
	}
}

// What was closed stays so for its overlays alone, whatever is proposed, merged or started later.
func TestDeclinedOverlaysOnEveryHost(t *testing.T) {
	for kind := range dialects {
		t.Run(string(kind), func(t *testing.T) {
			f := newForge(t, kind)
			files := shop("orders", "billing")
			migration := map[string]string{"apps/billing/migration.yaml": files["apps/billing/migration.yaml"]}
			delete(files, "apps/billing/migration.yaml")
			p, url := hosted(t, newHost(t), kind, files)
			w := start(t, f.proposing, url).only()
			equal(t, "proposed", pass(t, w, Proposed).Rendered, []string{"apps/orders"})
			f.set("closed")
			p.commit("billing has migrations now", migration)
			p.push()
			rep := pass(t, w, Proposed)
			equal(t, "proposed", rep.Rendered, []string{"apps/billing"})
			equal(t, "held", rep.Held, []string{"apps/orders"})
			p.git("fetch", "-q")
			p.git("merge", "-q", "--no-ff", "-m", "merge", "origin/"+ownBranch)
			p.push()
			f.set("merged")
			equal(t, "held by a new leader", pass(t, start(t, f.proposing, url).only(), Current).Held, []string{"apps/orders"})
			p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
			p.push()
			equal(t, "proposed of a new source", pass(t, w, Proposed).Rendered, []string{"apps/orders"})
			if len(f.pulls) != 3 {
				t.Errorf("%d pull requests", len(f.pulls))
			}
		})
	}
}

// What was closed because nothing was left to propose is proposed when it is needed again.
func TestWithdrawnIsNotDeclined(t *testing.T) {
	f := newForge(t, GitHub)
	files := shop("orders")
	p, url := hosted(t, newHost(t), GitHub, files)
	w := start(t, f.proposing, url).only()
	pass(t, w, Proposed)
	p.commit("no migrations", map[string]string{"apps/orders/migration.yaml": ""})
	p.push()
	pass(t, w, Current)
	if f.newest().state != "closed" {
		t.Fatalf("not withdrawn: %+v", f.newest())
	}
	p.commit("migrations again", map[string]string{"apps/orders/migration.yaml": files["apps/orders/migration.yaml"]})
	p.push()
	equal(t, "proposed", pass(t, w, Proposed).Rendered, []string{"apps/orders"})
}

// An open pull request is not left over where all that remains was closed before.
func TestWithdrawnBesideDeclined(t *testing.T) {
	f := newForge(t, GitHub)
	files := shop("orders", "billing")
	migration := map[string]string{"apps/billing/migration.yaml": files["apps/billing/migration.yaml"]}
	delete(files, "apps/billing/migration.yaml")
	p, url := hosted(t, newHost(t), GitHub, files)
	w := start(t, f.proposing, url).only()
	pass(t, w, Proposed)
	f.set("closed")
	p.commit("billing has migrations now", migration)
	p.push()
	equal(t, "proposed", pass(t, w, Proposed).Rendered, []string{"apps/billing"})
	p.commit("and no more", map[string]string{"apps/billing/migration.yaml": ""})
	p.push()
	equal(t, "held by a new leader", pass(t, start(t, f.proposing, url).only(), Current).Held, []string{"apps/orders"})
	if len(f.pulls) != 2 || f.newest().state != "closed" || p.branch(ownBranch) != "" {
		t.Errorf("left over: %+v, branch at %q", f.newest(), p.branch(ownBranch))
	}
}

// Commits of others on the branch survive whatever happens, until somebody merges or deletes it.
func TestCommitsOfOthersOnTheBranchAreKept(t *testing.T) {
	f := newForge(t, GitHub)
	p, url := hosted(t, newHost(t), GitHub, shop("orders"))
	w := start(t, f.proposing, url).only()
	pass(t, w, Proposed)
	p.git("fetch", "-q")
	p.git("checkout", "-q", "-b", "theirs", "origin/"+ownBranch)
	theirs := p.commit("by a person", map[string]string{"apps/orders/notes.txt": "x\n"})
	p.git("push", "-q", "origin", "HEAD:"+ownBranch)
	p.git("checkout", "-q", "-")
	p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
	p.push()
	equal(t, "held", pass(t, w, Current).Held, []string{"apps/orders"})
	equal(t, "held by a new leader", pass(t, start(t, f.proposing, url).only(), Current).Held, []string{"apps/orders"})
	if p.branch(ownBranch) != theirs {
		t.Fatal("a person's commit is lost")
	}
	amended := func() string { // takes our message, and is not ours
		p.git("checkout", "-q", "theirs")
		p.git("reset", "-q", "--hard", "HEAD^")
		p.write(map[string]string{"apps/orders/notes.txt": "y\n"})
		p.git("add", "-A")
		p.git("commit", "-q", "--amend", "--no-edit")
		p.git("push", "-q", "-f", "origin", "HEAD:"+ownBranch)
		defer p.git("checkout", "-q", "-")
		return p.head()
	}()
	pass(t, w, Current)
	if p.branch(ownBranch) != amended {
		t.Fatal("a person's amended commit is lost")
	}
	p.git("merge", "-q", "--no-ff", "-m", "merge", "theirs")
	p.push()
	f.set("merged")
	rep := pass(t, w, Proposed) // the second migration was not in it
	equal(t, "proposed", rep.Rendered, []string{"apps/orders"})
	if git(t, p.bare, "merge-base", ownBranch, "main") != git(t, p.bare, "rev-parse", "main") || len(rep.Held) != 0 {
		t.Errorf("what is merged still holds up: %+v", rep)
	}
}

// The branch is made, then the host's API is away: the pull request follows.
func TestPullRequestFollowsWhenTheAPIIsBack(t *testing.T) {
	f := newForge(t, GitHub)
	p, url := hosted(t, newHost(t), GitHub, shop("orders"))
	w := start(t, f.proposing, url).only()
	f.down = true
	fails(t, w, FaultUnreachable, "github: GET /repos/shop/env/pulls: 503 Service Unavailable: away")
	f.down = false
	pass(t, w, Proposed)
	if len(f.pulls) != 1 || p.branch(ownBranch) == "" {
		t.Error("no pull request")
	}
	if err := os.WriteFile(w.repo.Host.TokenFile, []byte("expired"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
	p.push()
	fails(t, w, FaultAuth, "Bad credentials", "host.tokenFile")
}

// Two replicas that both think they lead.
func TestTwoProposersMakeOnePullRequest(t *testing.T) {
	f := newForge(t, GitHub)
	p, url := hosted(t, newHost(t), GitHub, shop("orders"))
	a, b := start(t, f.proposing, url).only(), start(t, f.proposing, url).only()
	pass(t, a, Proposed)
	first := p.branch(ownBranch)
	pass(t, b, Current)
	p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
	p.push()
	pass(t, b, Proposed)
	pass(t, a, Current)
	if len(f.pulls) != 1 || p.branch(ownBranch) == first {
		t.Errorf("%d pull requests", len(f.pulls))
	}
	if ours := strings.Fields(git(t, p.bare, "log", "--format=%H", "--grep=^"+trailer, "--all")); !slices.Equal(ours, []string{p.branch(ownBranch)}) {
		t.Errorf("commits of ours: %v", ours)
	}
}
