package gitserver

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fixture is a git server with the repository env, a clone of it, and a receiver of webhooks with the secret "s3cret".
type fixture struct {
	t      *testing.T
	url    string
	clone  string
	events chan delivery
	fail   atomic.Int32 // this many deliveries are refused first
}

type delivery struct {
	header http.Header
	body   []byte
	event  pushEvent
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, events: make(chan delivery, 16)}
	var server *Server
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	server, err := New(t.TempDir(), web.URL, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	receiver := httptest.NewServer(http.HandlerFunc(f.receive))
	t.Cleanup(receiver.Close)
	f.url = web.URL
	f.put("/_admin/repos/env", "", http.StatusCreated)
	f.put("/_admin/repos/env/hooks", fmt.Sprintf(`{"url": %q, "secret": "s3cret"}`, receiver.URL), http.StatusNoContent)
	f.clone = filepath.Join(t.TempDir(), "clone")
	f.git(filepath.Dir(f.clone), "clone", "-q", f.url+"/env.git", "clone")
	return f
}

func (f *fixture) receive(w http.ResponseWriter, r *http.Request) {
	if f.fail.Add(-1) >= 0 {
		http.Error(w, "not yet", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	d := delivery{header: r.Header, body: body}
	if err := json.Unmarshal(body, &d.event); err != nil {
		f.t.Error(err)
	}
	f.events <- d
}

func (f *fixture) next() delivery {
	f.t.Helper()
	select {
	case d := <-f.events:
		return d
	case <-time.After(20 * time.Second):
		f.t.Fatal("no webhook")
		return delivery{}
	}
}

func (f *fixture) quiet() {
	f.t.Helper()
	select {
	case d := <-f.events:
		f.t.Fatalf("unexpected webhook %s", d.body)
	case <-time.After(200 * time.Millisecond):
	}
}

func (f *fixture) put(path, body string, want int) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPut, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		text, _ := io.ReadAll(resp.Body)
		f.t.Fatalf("PUT %s: %s, want %d: %s", path, resp.Status, want, text)
	}
}

func (f *fixture) git(dir string, args ...string) string {
	f.t.Helper()
	out, err := f.tryGit(dir, args...)
	if err != nil {
		f.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(out)
}

func (f *fixture) tryGit(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(f.t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(environment(), "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org",
		"GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.org")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// commit writes files (nil content removes) and returns the new commit.
func (f *fixture) commit(message string, files map[string]string) string {
	f.t.Helper()
	for name, content := range files {
		path := filepath.Join(f.clone, name)
		if content == "" {
			f.git(f.clone, "rm", "-q", name)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			f.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			f.t.Fatal(err)
		}
	}
	f.git(f.clone, "add", "-A")
	f.git(f.clone, "commit", "-q", "--allow-empty", "-m", message)
	return f.git(f.clone, "rev-parse", "HEAD")
}

func TestPushIsToldAsGitHubDoes(t *testing.T) {
	f := newFixture(t)
	first := f.commit("first", map[string]string{"a": "1", "gone": "1"})
	f.git(f.clone, "push", "-q", "origin", "HEAD:main")
	e := f.next().event
	if e.Ref != "refs/heads/main" || e.Before != zero || e.After != first || !e.Created || len(e.Commits) != 1 {
		t.Errorf("first push: %+v", e)
	}

	second := f.commit("second", map[string]string{"a": "2", "gone": "", "dir/a file": "3"})
	third := f.commit("third\n\nwith a body", nil)
	f.git(f.clone, "push", "-q", "origin", "HEAD:main")
	d := f.next()
	e = d.event
	if e.Before != first || e.After != third || e.Created || e.Deleted || e.Forced || len(e.Commits) != 2 {
		t.Fatalf("second push: %+v", e)
	}
	one := e.Commits[0]
	one.Timestamp, one.TreeID = "", ""
	if diff := cmp.Diff(commit{
		ID: second, Distinct: true, Message: "second", URL: f.url + "/env/commit/" + second,
		Author: author{"Ada", "ada@example.org"}, Committer: author{"Bob", "bob@example.org"},
		Added: []string{"dir/a file"}, Removed: []string{"gone"}, Modified: []string{"a"},
	}, one); diff != "" {
		t.Errorf("commit (-want +got):\n%s", diff)
	}
	if e.HeadCommit == nil || e.HeadCommit.Message != "third\n\nwith a body" || e.HeadCommit.Added == nil {
		t.Errorf("head commit %+v", e.HeadCommit)
	}
	r := e.Repository
	if r.HTMLURL != f.url+"/env" || r.CloneURL != f.url+"/env.git" || r.FullName != "lab/env" || r.DefaultBranch != "main" || r.SSHURL == "" {
		t.Errorf("repository %+v", r)
	}
	checkHeaders(t, d)
}

func checkHeaders(t *testing.T, d delivery) {
	t.Helper()
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write(d.body)
	if got, want := d.header.Get("X-Hub-Signature-256"), "sha256="+hex.EncodeToString(mac.Sum(nil)); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if d.header.Get("X-GitHub-Event") != "push" || len(d.header.Get("X-GitHub-Delivery")) != 36 {
		t.Errorf("headers %v", d.header)
	}
}

func TestBranchesTagsAndForcedPushes(t *testing.T) {
	f := newFixture(t)
	first := f.commit("first", map[string]string{"a": "1"})
	f.git(f.clone, "push", "-q", "origin", "HEAD:main")
	f.next()

	f.git(f.clone, "push", "-q", "origin", "HEAD:refs/heads/other")
	if e := f.next().event; e.Ref != "refs/heads/other" || !e.Created || len(e.Commits) != 0 || e.HeadCommit != nil {
		t.Errorf("a branch at an old commit: %+v", e)
	}
	f.git(f.clone, "push", "-q", "origin", ":refs/heads/other")
	if e := f.next().event; !e.Deleted || e.Before != first || e.After != zero {
		t.Errorf("a deleted branch: %+v", e)
	}
	f.git(f.clone, "tag", "-a", "-m", "one", "v1")
	f.git(f.clone, "push", "-q", "origin", "v1")
	if e := f.next().event; e.Ref != "refs/tags/v1" || e.After != first {
		t.Errorf("a tag: %+v", e)
	}
	f.git(f.clone, "commit", "-q", "--amend", "-m", "rewritten")
	f.git(f.clone, "push", "-q", "--force", "origin", "HEAD:main")
	if e := f.next().event; !e.Forced || e.Before != first || len(e.Commits) != 1 {
		t.Errorf("a forced push: %+v", e)
	}
}

func TestNothingIsToldWhenNothingChanged(t *testing.T) {
	f := newFixture(t)
	f.commit("first", map[string]string{"a": "1"})
	f.git(f.clone, "push", "-q", "origin", "HEAD:main")
	f.next()
	f.git(f.clone, "push", "-q", "origin", "HEAD:main")
	f.git(f.clone, "fetch", "-q")
	f.git(f.clone, "reset", "-q", "--hard", "HEAD")
	f.git(f.clone, "commit", "-q", "--amend", "-m", "rewritten")
	if out, err := f.tryGit(f.clone, "-c", "push.default=nothing", "push", "origin", "HEAD:main"); err == nil {
		t.Errorf("git pushed over other commits: %s", out)
	}
	f.quiet()
}

func TestRefusedDeliveriesAreRetried(t *testing.T) {
	f := newFixture(t)
	f.fail.Store(2)
	want := f.commit("first", map[string]string{"a": "1"})
	f.git(f.clone, "push", "-q", "origin", "HEAD:main")
	if e := f.next().event; e.After != want {
		t.Errorf("got %+v", e)
	}
	f.quiet()
}

func TestBothSpellingsOfARepositoryAreServed(t *testing.T) {
	f := newFixture(t)
	want := f.commit("first", map[string]string{"a": "1"})
	f.git(f.clone, "push", "-q", "origin", "HEAD:main")
	for _, url := range []string{f.url + "/env", f.url + "/env.git"} {
		if out := f.git(f.clone, "ls-remote", url, "refs/heads/main"); !strings.HasPrefix(out, want) {
			t.Errorf("%s: %s", url, out)
		}
	}
}

func TestAdministration(t *testing.T) {
	f := newFixture(t)
	f.put("/_admin/repos/env", "", http.StatusOK) // it is there
	f.put("/_admin/repos/-x", "", http.StatusBadRequest)
	f.put("/_admin/repos/.hidden", "", http.StatusBadRequest)
	f.put("/_admin/repos/missing/hooks", `{"url": "http://127.0.0.1/"}`, http.StatusNotFound)
	f.put("/_admin/repos/env/hooks", `{"url": "file:///etc/passwd"}`, http.StatusBadRequest)
	f.put("/_admin/repos/env/hooks", `nonsense`, http.StatusBadRequest)
	if out, err := f.tryGit(f.clone, "ls-remote", f.url+"/missing.git"); err == nil {
		t.Errorf("a repository that nobody made: %s", out)
	}
}

func TestManyRefsInOnePush(t *testing.T) {
	f := newFixture(t)
	f.commit("first", map[string]string{"a": "1"})
	f.git(f.clone, "push", "-q", "origin", "HEAD:main", "HEAD:refs/heads/b", "HEAD:refs/heads/c")
	refs := map[string]bool{}
	var bodies bytes.Buffer
	for range 3 {
		d := f.next()
		refs[d.event.Ref] = true
		bodies.Write(d.body)
	}
	if len(refs) != 3 {
		t.Errorf("refs %v in %s", refs, bodies.Bytes())
	}
}

func TestPushOfMoreThanGitSendsInOnePiece(t *testing.T) {
	f := newFixture(t)
	noise := make([]byte, 3<<20) // git sends in chunks above http.postBuffer, 1 MiB
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	want := f.commit("large", map[string]string{"noise": string(noise)})
	f.git(f.clone, "push", "-q", "origin", "HEAD:main")
	if e := f.next().event; e.After != want {
		t.Errorf("got %+v", e)
	}
}
