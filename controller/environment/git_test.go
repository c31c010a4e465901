package environment

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// host is a real git host: git http-backend behind net/http, with repositories in a directory.
type host struct {
	t        testing.TB
	dir      string
	addr     string
	server   *http.Server
	user     string                 // whose password is required
	password atomic.Pointer[string] // required, where set
	requests atomic.Int64
	// before, where set, is called before a request that pushes is passed on.
	before atomic.Pointer[func()]
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir(), addr: "127.0.0.1:0", user: "bot"}
	h.up()
	t.Cleanup(h.down)
	return h
}

func (h *host) up() {
	h.t.Helper()
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.addr = l.Addr().String()
	backend := &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(git(h.t, h.dir, "--exec-path")), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + h.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=bot", "GIT_CONFIG_NOSYSTEM=1"},
		Stderr: os.Stderr,
	}
	h.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.requests.Add(1)
		if want := h.password.Load(); want != nil {
			if user, got, _ := r.BasicAuth(); user != h.user || got != *want {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				http.Error(w, "who are you", http.StatusUnauthorized)
				return
			}
		}
		if before := h.before.Load(); before != nil && strings.HasSuffix(r.URL.Path, "/git-receive-pack") && r.UserAgent() != "" &&
			!strings.HasPrefix(r.UserAgent(), "git/2") {
			(*before)()
		}
		backend.ServeHTTP(w, r)
	})}
	go func() { _ = h.server.Serve(l) }()
}

func (h *host) down() { _ = h.server.Close() }

func (h *host) url(repo string) string { return "http://" + h.addr + "/" + repo + ".git" }

// repository makes a repository with the files as its first commit and returns a person's clone of it.
func (h *host) repository(name string, files map[string]string) *person {
	h.t.Helper()
	bare := filepath.Join(h.dir, name+".git")
	git(h.t, h.dir, "init", "-q", "--bare", "-b", "main", bare)
	git(h.t, bare, "config", "http.receivepack", "true")
	p := &person{t: h.t, dir: filepath.Join(h.t.TempDir(), "clone"), bare: bare}
	git(h.t, h.dir, "clone", "-q", bare, p.dir)
	p.commit("first", files)
	p.push()
	return p
}

// person works with the git command in a clone, as people do.
type person struct {
	t    testing.TB
	dir  string
	bare string
}

func (p *person) git(args ...string) string { p.t.Helper(); return git(p.t, p.dir, args...) }

// write changes files; an empty content deletes one.
func (p *person) write(files map[string]string) {
	p.t.Helper()
	for name, content := range files {
		file := filepath.Join(p.dir, name)
		if content == "" {
			if err := os.Remove(file); err != nil {
				p.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *person) commit(message string, files map[string]string) string {
	p.t.Helper()
	p.write(files)
	p.git("add", "-A")
	p.git("commit", "-q", "-m", message)
	return p.head()
}

func (p *person) head() string { p.t.Helper(); return strings.TrimSpace(p.git("rev-parse", "HEAD")) }
func (p *person) push()        { p.t.Helper(); p.git("push", "-q", "origin", "HEAD:main") }
func (p *person) pull()        { p.t.Helper(); p.git("pull", "-q", "--rebase", "origin", "main") }

// emptyCommits adds commits that change nothing.
func (p *person) emptyCommits(n int) {
	p.t.Helper()
	var in strings.Builder
	for i := range n {
		from := ""
		if i == 0 {
			from = "from refs/heads/main^0\n"
		}
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata 2\nx\n%s\n", time.Now().Unix()+int64(i), from)
	}
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = p.dir, strings.NewReader(in.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("git fast-import: %v\n%s", err, out)
	}
}

// tip is the branch on the host.
func (p *person) tip() string {
	p.t.Helper()
	return strings.TrimSpace(git(p.t, p.bare, "rev-parse", "main"))
}

// show is a file's content on the host.
func (p *person) show(file string) string {
	p.t.Helper()
	return git(p.t, p.bare, "show", "main:"+file)
}

// ours lists the commits on the host that carry the trailer.
func (p *person) ours() []string {
	p.t.Helper()
	return strings.Fields(git(p.t, p.bare, "log", "--format=%H", "--grep=^"+trailer+": ", "main"))
}

// git runs the real git, unaware of the machine's configuration.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := tryGit(dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func tryGit(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		return out.String() + errs.String(), err
	}
	return out.String(), nil
}

func hash(s string) plumbing.Hash { return plumbing.NewHash(s) }
