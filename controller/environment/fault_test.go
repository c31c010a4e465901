package environment

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fails makes a pass and expects a fault whose text holds each of the words.
func fails(t *testing.T, w *writer, reason FaultReason, words ...string) {
	t.Helper()
	rep := w.pass(context.Background())
	var f *Fault
	if !errors.As(rep.Err, &f) || f.Reason != reason {
		t.Fatalf("pass: %s, %v (%s), want %s", rep.Result, rep.Err, reasonOf(rep.Err), reason)
	}
	t.Log(rep.Err)
	for _, word := range words {
		if !strings.Contains(rep.Err.Error(), word) {
			t.Errorf("%q does not say %q", rep.Err, word)
		}
	}
}

func TestBrokenOverlayDoesNotHoldUpOthers(t *testing.T) {
	h := newHost(t)
	files := shop("orders", "billing")
	files["migrations/orders/0001_init.sql"] = "BROKEN\n"
	p := h.repository("env", files)
	w := start(t, nil, h.url("env")).only()

	rep := pass(t, w, Pushed)
	equal(t, "rendered", rep.Rendered, []string{"apps/billing"})
	if want := "migrations/orders/0001_init.sql:1: syntax error"; rep.Broken["apps/orders"] != want || len(rep.Broken) != 1 {
		t.Errorf("broken: %q, want %q", rep.Broken, want)
	}
	p.pull()
	if _, err := os.Stat(filepath.Join(p.dir, "apps/orders/schemawave")); err == nil {
		t.Error("something of the broken overlay was pushed")
	}
	p.commit("elsewhere", map[string]string{"README.md": "x\n"})
	p.push()
	if rep := pass(t, w, Current); rep.Broken["apps/orders"] == "" {
		t.Error("the broken overlay was forgotten")
	}
	p.commit("mend", map[string]string{"migrations/orders/0001_init.sql": "create table orders();\n"})
	p.push()
	rep = pass(t, w, Pushed)
	equal(t, "rendered", rep.Rendered, []string{"apps/orders"})
	if len(rep.Broken) != 0 {
		t.Errorf("still broken: %q", rep.Broken)
	}
}

// Its cause may lie where no change is seen.
func TestBrokenOverlayIsTriedAgainWithEveryPush(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	r, ill := digestRenderer{version: "1"}, true
	w := start(t, func(o *Options) {
		o.Render = each(func(ctx context.Context, root, overlay string) (Rendering, error) {
			if ill {
				return nil, errors.New("a remote base does not answer")
			}
			return r.render(ctx, root, overlay)
		})
	}, h.url("env")).only()
	pass(t, w, Current)
	ill = false
	p.commit("elsewhere", map[string]string{"README.md": "x\n"})
	p.push()
	equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"apps/orders"})
}

// half writes one file and then fails, or panics.
type half struct {
	dir   string
	panic bool
}

func (h half) Changed() bool {
	if h.panic {
		panic("nil map")
	}
	return true
}

func (h half) Warnings() []string { return nil }

func (h half) Write() error {
	if err := os.MkdirAll(filepath.Join(h.dir, "schemawave"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(h.dir, "schemawave", "job.yaml"), []byte("half"), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(h.dir, "kustomization.yaml"), []byte("half"), 0o644); err != nil {
		return err
	}
	return errors.New("disk full")
}

func TestNothingHalfWrittenIsPushed(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders", "billing"))
	r := digestRenderer{version: "1"}
	w := start(t, func(o *Options) {
		o.Render = each(func(ctx context.Context, root, overlay string) (Rendering, error) {
			if overlay == "apps/orders" {
				return half{dir: filepath.Join(root, overlay)}, nil
			}
			return r.render(ctx, root, overlay)
		})
	}, h.url("env")).only()
	rep := pass(t, w, Pushed)
	equal(t, "rendered", rep.Rendered, []string{"apps/billing"})
	if rep.Broken["apps/orders"] != "disk full" {
		t.Errorf("broken: %q", rep.Broken)
	}
	if files := git(t, p.bare, "ls-tree", "-r", "--name-only", "main", "apps/orders"); strings.Contains(files, "schemawave") {
		t.Errorf("pushed: %s", files)
	}
	if got, _ := os.ReadFile(w.checkout.path("apps/orders/kustomization.yaml")); string(got) != "# of orders\nresources:\n- ../base\n" {
		t.Errorf("left in the checkout: %q", got)
	}
}

func TestPanicIsTheOverlaysError(t *testing.T) {
	h := newHost(t)
	h.repository("env", shop("orders", "billing"))
	r := digestRenderer{version: "1"}
	w := start(t, func(o *Options) {
		o.Render = each(func(ctx context.Context, root, overlay string) (Rendering, error) {
			if overlay == "apps/orders" {
				return half{panic: true}, nil
			}
			return r.render(ctx, root, overlay)
		})
	}, h.url("env")).only()
	if rep := pass(t, w, Pushed); !strings.Contains(rep.Broken["apps/orders"], "nil map") {
		t.Errorf("broken: %q", rep.Broken)
	}
}

func TestUnreachableHostHeals(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	h.down()
	fails(t, w, FaultUnreachable, "fetch: the host cannot be reached", "connection refused")
	h.up()
	pass(t, w, Pushed)
	h.down()
	fails(t, w, FaultUnreachable)
	h.up()
	p.pull()
	p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
	p.push()
	pass(t, w, Pushed)
}

func TestCredentials(t *testing.T) {
	h := newHost(t)
	h.repository("env", shop("orders"))
	good := "s3cret-token"
	h.password.Store(&good)
	file := filepath.Join(t.TempDir(), "token")
	w := start(t, func(o *Options) {
		o.Config.Repositories[0].Credentials = Credentials{Username: "bot", PasswordFile: file}
	}, h.url("env")).only()

	fails(t, w, FaultConfiguration, "credentials.passwordFile", "is the Secret mounted?")
	if err := os.WriteFile(file, []byte("old-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, w, FaultAuth, "refuses the credentials")
	if rep := w.pass(context.Background()); strings.Contains(fmt.Sprint(rep), "old-token") {
		t.Errorf("the report holds the token: %+v", rep)
	}
	if err := os.WriteFile(file, []byte(good+"\n"), 0o600); err != nil { // the Secret is rotated
		t.Fatal(err)
	}
	pass(t, w, Pushed)
}

func TestMissingRepositoryAndBranch(t *testing.T) {
	h := newHost(t)
	h.repository("env", shop("orders"))
	git(t, h.dir, "init", "-q", "--bare", "-b", "main", "empty.git")
	fails(t, start(t, nil, h.url("nowhere")).only(), FaultAuth, "no such repository")
	fails(t, start(t, nil, h.url("empty")).only(), FaultConfiguration, "the repository is empty")
	fails(t, start(t, func(o *Options) { o.Config.Repositories[0].Branch = "prod" }, h.url("env")).only(), FaultConfiguration, "no branch prod")
}

func TestRefusedPushSaysWhy(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	hook := filepath.Join(p.bare, "hooks", "pre-receive")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho 'GH006: Protected branch update failed' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := start(t, nil, h.url("env")).only()
	fails(t, w, FaultRejected, "GH006: Protected branch update failed", "pre-receive hook declined", "if main is protected")
	if rep := w.pass(context.Background()); rep.Tries != 1 {
		t.Errorf("%d tries at a push that the host refuses", rep.Tries)
	}
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	pass(t, w, Pushed)
}

func TestLostAnswerToPushIsNoSecondCommit(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	hook := filepath.Join(p.bare, "hooks", "reference-transaction") // the branch has moved; then the host dies
	if err := os.WriteFile(hook, []byte("#!/bin/sh\n[ \"$1\" = committed ] && grep -q refs/heads/main && kill -9 $PPID\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	rep := pass(t, w, Pushed)
	if rep.Commit != p.tip() || len(p.ours()) != 1 {
		t.Errorf("pushed %s, the host has %s and %d commits of ours", rep.Commit, p.tip(), len(p.ours()))
	}
	pass(t, w, Unchanged)
}

func TestPushThatDiedOnTheWayIsNoSuccess(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	hook := filepath.Join(p.bare, "hooks", "update")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nkill -9 $PPID\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	fails(t, w, FaultUnreachable, "push: the host broke off without an answer")
	if len(p.ours()) != 0 {
		t.Fatal("the host has the commit")
	}
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"apps/orders"})
}

func TestDamagedCloneIsMadeAnew(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Pushed)
	if err := os.RemoveAll(w.checkout.path("apps")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.checkout.path("apps"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p.pull()
	p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n", "apps/new/file.txt": "x\n"})
	p.push()
	fails(t, w, FaultInternal, "the clone is made anew")
	pass(t, w, Pushed)
}

// breaking stands before a git host and breaks off each fetch, once it is told to, in the middle of the pack.
func breaking(t *testing.T, h *host) (url string, broken *atomic.Bool) {
	t.Helper()
	broken = &atomic.Bool{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !broken.Load() || !strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			h.server.Handler.ServeHTTP(w, r)
			return
		}
		all := httptest.NewRecorder()
		h.server.Handler.ServeHTTP(all, r)
		maps.Copy(w.Header(), all.Header())
		_, _ = w.Write(all.Body.Bytes()[:all.Body.Len()/2])
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(front.Close)
	return front.URL + "/env.git", broken
}

func TestFetchThatBreaksOffLeavesNothing(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	url, broken := breaking(t, h)
	w := start(t, nil, url).only()
	pass(t, w, Pushed)
	p.pull()
	large := make([]byte, 1<<18) // what comes first of it is more than what is read at once
	_, _ = rand.NewChaCha8([32]byte{}).Read(large)
	p.commit("source", map[string]string{"migrations/orders/0002.sql": hex.EncodeToString(large)})
	p.push()
	broken.Store(true)
	for range 3 {
		fails(t, w, FaultUnreachable, "fetch: ")
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "git/objects/pack/tmp_pack_*")); len(left) > 1 {
		t.Errorf("%d fetches that broke off have left %d files", 3, len(left))
	}
	broken.Store(false)
	pass(t, w, Pushed)
	if left, _ := filepath.Glob(filepath.Join(w.dir, "git/objects/pack/tmp_pack_*")); len(left) > 0 {
		t.Errorf("left: %s", left)
	}
}

// What the disk does not take is not the host's fault.
func TestFetchThatCannotBeKeptIsInternal(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Pushed)
	packs := filepath.Join(w.dir, "git/objects/pack")
	if err := os.RemoveAll(packs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(packs, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p.pull()
	p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
	p.push()
	fails(t, w, FaultInternal, "fetch: ", "the clone is made anew")
	pass(t, w, Pushed)
}

// What is known of the overlays is not trusted once they could not be listed.
func TestOverlaysThatCouldNotBeListedAreRendered(t *testing.T) {
	h := newHost(t)
	h.repository("env", shop("orders", "billing"))
	r, ill := digestRenderer{version: "1"}, true
	w := start(t, func(o *Options) {
		o.List = func(dir string) ([]string, error) {
			if ill {
				return nil, errors.New("too many open files")
			}
			return r.list(dir)
		}
	}, h.url("env")).only()
	fails(t, w, FaultInternal, "list overlays: too many open files")
	ill = false
	equal(t, "rendered", pass(t, w, Pushed).Rendered, []string{"apps/billing", "apps/orders"})
}

func TestFullCloneIsMadeAnew(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	pass(t, w, Pushed)
	w.clone.packs = maxPacks
	p.pull()
	p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
	p.push()
	pass(t, w, Pushed)
	if w.clone.packs > 3 { // fetched, history for the verdict, pushed
		t.Errorf("%d packs in the new clone", w.clone.packs)
	}
}

func TestCancelledPassLeavesTheHostAlone(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	ctx, cancel := context.WithCancel(context.Background())
	r := digestRenderer{version: "1"}
	w := start(t, func(o *Options) {
		o.Render = each(func(c context.Context, root, overlay string) (Rendering, error) {
			cancel()
			return r.render(c, root, overlay)
		})
	}, h.url("env")).only()
	began := time.Now()
	if rep := w.pass(ctx); rep.Result != Failed {
		t.Errorf("pass: %s", rep.Result)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	if len(p.ours()) != 0 {
		t.Error("it pushed")
	}
}
