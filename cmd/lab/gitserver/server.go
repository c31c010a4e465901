// Package gitserver serves bare git repositories over HTTP, to clone from and push to without credentials, and tells
// registered webhooks of every push the way GitHub does. It is for a closed network: whoever reaches it may do anything.
//
//	PUT /_admin/repos/NAME          makes a repository; 201, or 200 when it is there
//	PUT /_admin/repos/NAME/hooks    registers a webhook: {"url": "...", "secret": "..."}
//	GET /_admin/healthz             200 when the server serves
//	/NAME.git, /NAME                git's smart HTTP protocol
package gitserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Server is the git server as an http.Handler. Make one with New, and Close it.
type Server struct {
	root   string // directory of the repositories
	base   string // the server's URL as clients know it
	git    string
	log    *slog.Logger
	client *http.Client
	mux    *http.ServeMux

	mu           sync.Mutex
	repositories map[string]*repository

	life       context.Context
	end        context.CancelFunc
	deliveries sync.WaitGroup
}

// New serves the repositories below the directory root. base is the URL by which clients reach the server; events name
// repositories by it.
func New(root, base string, log *slog.Logger) (*Server, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("serve git: %w", err)
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("serve git: %w", err)
	}
	s := &Server{root: root, base: strings.TrimSuffix(base, "/"), git: git, log: log, client: &http.Client{}, mux: http.NewServeMux(),
		repositories: map[string]*repository{}}
	s.life, s.end = context.WithCancel(context.Background())
	s.mux.HandleFunc("PUT /_admin/repos/{name}", s.putRepository)
	s.mux.HandleFunc("PUT /_admin/repos/{name}/hooks", s.putHook)
	s.mux.HandleFunc("GET /_admin/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	s.mux.HandleFunc("/{name}/{rest...}", s.serveGit)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends deliveries that are still being tried and returns when they have ended.
func (s *Server) Close() {
	s.end()
	s.deliveries.Wait()
}

// repository returns the repository of a name, whether or not it exists on disk.
func (s *Server) repository(name string) (*repository, error) {
	name, err := validName(name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repositories[name]
	if r == nil {
		r = &repository{name: name, dir: filepath.Join(s.root, name+".git")}
		s.repositories[name] = r
	}
	return r, nil
}

func (s *Server) putRepository(w http.ResponseWriter, req *http.Request) {
	r, err := s.repository(req.PathValue("name"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.push.Lock()
	defer r.push.Unlock()
	status := http.StatusCreated
	if r.exists() {
		status = http.StatusOK
	}
	if err := r.create(req.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"clone_url": s.base + "/" + r.name + ".git"}) // the client has gone away
}

func (s *Server) putHook(w http.ResponseWriter, req *http.Request) {
	r, err := s.repository(req.PathValue("name"))
	if err == nil && !r.exists() {
		http.Error(w, "no such repository; make it first", http.StatusNotFound)
		return
	}
	var hook Hook
	if err == nil {
		err = json.NewDecoder(io.LimitReader(req.Body, 1<<16)).Decode(&hook)
	}
	if err == nil {
		err = r.addHook(hook)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveGit hands a request to git http-backend (https://git-scm.com/docs/git-http-backend) and, after a push, looks for
// what it changed.
func (s *Server) serveGit(w http.ResponseWriter, req *http.Request) {
	r, err := s.repository(req.PathValue("name"))
	if err != nil || !r.exists() {
		http.NotFound(w, req)
		return
	}
	backend := &cgi.Handler{
		Path: s.git, Args: []string{"http-backend"}, Dir: s.root,
		Env:    append(environment(), "GIT_PROJECT_ROOT="+s.root, "GIT_HTTP_EXPORT_ALL=1"),
		Stderr: logWriter{s.log.With("repository", r.name)},
	}
	inner, done, err := sized(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer done()
	inner.URL.Path = "/" + r.name + ".git/" + req.PathValue("rest")
	if req.Method != http.MethodPost || req.PathValue("rest") != "git-receive-pack" {
		backend.ServeHTTP(w, inner)
		return
	}
	r.push.Lock()
	defer r.push.Unlock()
	// a client that hangs up does not undo a push: what was accepted is told
	ctx := context.WithoutCancel(req.Context())
	before, err := r.refs(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	backend.ServeHTTP(w, inner)
	if err := s.tell(ctx, r, before); err != nil {
		s.log.Error("push was accepted, but its events could not be made", "repository", r.name, "error", err)
	}
}

// sized is the request with a body of known length, which CGI demands: git sends more than a mebibyte in chunks. The
// body then waits in a file until done is called.
func sized(req *http.Request) (inner *http.Request, done func(), err error) {
	inner = req.Clone(req.Context())
	if req.ContentLength >= 0 {
		return inner, func() {}, nil
	}
	f, err := os.CreateTemp("", "push-")
	if err != nil {
		return nil, nil, fmt.Errorf("keep a push: %w", err)
	}
	done = func() {
		f.Close()
		os.Remove(f.Name())
	}
	n, err := io.Copy(f, req.Body)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("keep a push: %w", err)
	}
	inner.Body, inner.ContentLength, inner.TransferEncoding = f, n, nil
	return inner, done, nil
}

// tell starts the delivery of an event for each ref that differs from before.
func (s *Server) tell(ctx context.Context, r *repository, before map[string]string) error {
	after, err := r.refs(ctx)
	if err != nil {
		return err
	}
	hooks, err := r.hooks()
	if err != nil {
		return err
	}
	branch, err := r.defaultBranch(ctx)
	if err != nil {
		return err
	}
	for _, c := range changes(before, after) {
		s.log.Info("push", "repository", r.name, "ref", c.ref, "before", c.before, "after", c.after)
		commits, err := r.commits(ctx, c, before)
		if err != nil {
			return err
		}
		event := newEvent(s.base, r.name, branch, c, commits)
		if event.Forced, err = r.forced(ctx, c); err != nil {
			return err
		}
		body, err := json.Marshal(event)
		if err != nil {
			return err
		}
		for _, h := range hooks {
			s.deliveries.Go(func() {
				if err := deliver(s.life, s.client, h, body); err != nil {
					s.log.Error("webhook", "repository", r.name, "error", err)
				}
			})
		}
	}
	return nil
}

// logWriter turns what git http-backend says into log lines.
type logWriter struct{ log *slog.Logger }

func (l logWriter) Write(p []byte) (int, error) {
	l.log.Warn("git http-backend", "said", strings.TrimSpace(string(p)))
	return len(p), nil
}
