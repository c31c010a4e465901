package environment

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const hookSecret = "it is a secret"

// sign is what a host puts into its header.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// gitHost is how one git host delivers a push to main.
type gitHost struct {
	name, body string
	url        string // the repository, as it is configured
	ssh        string // the same over ssh
	headers    func(secret string, body []byte) http.Header
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

var gitHosts = []gitHost{
	{"github", "github.json", "https://git.example.com/shop/environments.git", "git@git.example.com:shop/environments.git",
		func(secret string, body []byte) http.Header {
			return header("X-GitHub-Event", "push", "X-GitHub-Delivery", "1", "X-Hub-Signature-256", "sha256="+sign(secret, body))
		}},
	{"gitlab", "gitlab.json", "https://git.example.com/shop/environments.git", "ssh://git@git.example.com:2222/shop/environments.git",
		func(secret string, body []byte) http.Header {
			return header("X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", secret)
		}},
	{"gitlab instance", "gitlab.json", "https://git.example.com/shop/environments", "git@git.example.com:shop/environments.git",
		func(secret string, body []byte) http.Header {
			return header("X-Gitlab-Event", "System Hook", "X-Gitlab-Token", secret)
		}},
	{"gitea", "gitea.json", "http://gitea.git.svc:3000/shop/environments.git", "git@gitea.git.svc:shop/environments.git", // behind another address
		func(secret string, body []byte) http.Header {
			s := sign(secret, body)
			return header("X-Gitea-Event", "push", "X-Gogs-Event", "push", "X-GitHub-Event", "push",
				"X-Gitea-Signature", s, "X-Gogs-Signature", s, "X-Hub-Signature-256", "sha256="+s)
		}},
	{"gogs", "gitea.json", "http://localhost:3000/shop/environments.git", "ssh://git@localhost:2222/shop/environments.git",
		func(secret string, body []byte) http.Header {
			return header("X-Gogs-Event", "push", "X-Gogs-Signature", sign(secret, body))
		}},
	{"bitbucket cloud", "bitbucket-cloud.json", "https://bitbucket.org/shop/environments.git", "git@bitbucket.org:shop/environments.git",
		func(secret string, body []byte) http.Header {
			return header("X-Event-Key", "repo:push", "X-Hook-UUID", "1", "X-Hub-Signature", "sha256="+sign(secret, body))
		}},
	{"bitbucket data center", "bitbucket-datacenter.json", "https://git.example.com/scm/shop/environments.git", "ssh://git@git.example.com:7999/shop/environments.git",
		func(secret string, body []byte) http.Header {
			return header("X-Event-Key", "repo:refs_changed", "X-Hub-Signature", "sha256="+sign(secret, body))
		}},
	{"azure", "azure.json", "https://dev.azure.com/acme/Shop%20Platform/_git/environments", "git@ssh.dev.azure.com:v3/acme/Shop Platform/environments",
		func(secret string, body []byte) http.Header {
			r := http.Request{Header: http.Header{}}
			r.SetBasicAuth("hook", secret)
			return r.Header
		}},
}

// receiving makes a controller of the repositories, marked as running, whose writers only collect wake-ups.
func receiving(t *testing.T, secret string, repos ...Repository) *Controller {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, func(o *Options) {
		for _, r := range repos {
			if secret != "" {
				r.Webhook.SecretFile = file
			}
			if strings.Contains(r.URL, "@") {
				r.Credentials = Credentials{SSHKeyFile: "key", KnownHostsFile: "hosts"}
			}
			o.Config.Repositories = append(o.Config.Repositories, r)
		}
	})
	c.running.Store(true)
	return c
}

// deliver sends a body and returns the status, the text and how many writers it woke.
func deliver(c *Controller, body []byte, h http.Header) (status int, text string, woken int) {
	r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
	r.Header = h.Clone()
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	rec := httptest.NewRecorder()
	c.Webhook().ServeHTTP(rec, r)
	for _, w := range c.writers {
		select {
		case <-w.woken:
			woken++
		default:
		}
	}
	return rec.Code, strings.TrimSpace(rec.Body.String()), woken
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestWebhookOfEveryHost(t *testing.T) {
	for _, h := range gitHosts {
		t.Run(h.name, func(t *testing.T) {
			body := fixture(t, h.body)
			good, unsigned := h.headers(hookSecret, body), h.headers(hookSecret, body)
			for name := range unsigned {
				if strings.Contains(name, "Signature") || strings.Contains(name, "Token") || name == "Authorization" {
					unsigned.Del(name)
				}
			}
			other := []Repository{{URL: h.url, Branch: "prod"}, {URL: "https://git.example.com/other/environments.git"}}
			cases := []struct {
				reason        string
				secret        string
				repos         []Repository
				headers       http.Header
				status, wakes int
			}{
				{"signed, over https", hookSecret, append(other, Repository{URL: h.url}), good, 202, 1},
				{"signed, over ssh", hookSecret, append(other, Repository{URL: h.ssh}), good, 202, 1},
				{"signed with another secret", hookSecret, []Repository{{URL: h.url}}, h.headers("a guess", body), 401, 0},
				{"signed with an empty secret", hookSecret, []Repository{{URL: h.url}}, h.headers("", body), 401, 0},
				{"unsigned", hookSecret, []Repository{{URL: h.url}}, unsigned, 401, 0},
				{"unsigned, no secret configured", "", []Repository{{URL: h.url}}, unsigned, 202, 1},
				{"another branch", hookSecret, other[:1], good, 200, 0},
				{"another repository", hookSecret, other[1:], good, 200, 0},
				{"another branch, unsigned", hookSecret, other[:1], unsigned, 401, 0},
			}
			for _, c := range cases {
				if status, text, wakes := deliver(receiving(t, c.secret, c.repos...), body, c.headers); status != c.status || wakes != c.wakes {
					t.Errorf("%s: %d %q woke %d, want %d and %d", c.reason, status, text, wakes, c.status, c.wakes)
				}
			}
			if h.name == "azure" || strings.HasPrefix(h.name, "gitlab") {
				return // these send a password, which says nothing about the body
			}
			tampered := bytes.Replace(body, []byte("main"), []byte("prod"), 1)
			if status, _, wakes := deliver(receiving(t, hookSecret, Repository{URL: h.url}), tampered, good); status != 401 || wakes != 0 {
				t.Errorf("a tampered body: %d, woke %d", status, wakes)
			}
		})
	}
}

func TestWebhookRefusals(t *testing.T) {
	body := fixture(t, "github.json")
	good := gitHosts[0].headers(hookSecret, body)
	with := func(h http.Header, pairs ...string) http.Header {
		h = h.Clone()
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	form := []byte("payload=" + url.QueryEscape(string(body)))
	ping := []byte(`{"zen":"Keep it logically awesome.","repository":{"clone_url":"https://git.example.com/shop/environments.git"}}`)
	tag := bytes.Replace(body, []byte("refs/heads/main"), []byte("refs/tags/main"), 1)
	sha1 := header("X-GitHub-Event", "push", "X-Hub-Signature", "sha1=0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c")
	for _, c := range []struct {
		reason string
		body   []byte
		header http.Header
		status int
		text   string
	}{
		{"a form, GitHub's default", form, with(gitHosts[0].headers(hookSecret, form), "Content-Type", "application/x-www-form-urlencoded"), 202, "accepted"},
		{"a ping", ping, with(gitHosts[0].headers(hookSecret, ping), "X-GitHub-Event", "ping"), 200, `"ping" is not a push`},
		{"a ping with a wrong secret", ping, with(gitHosts[0].headers("x", ping), "X-GitHub-Event", "ping"), 401, "set the same secret"},
		{"a tag", tag, gitHosts[0].headers(hookSecret, tag), 200, "no configured branch"},
		{"sha1 only", body, sha1, 401, "signature is missing"},
		{"another content type", body, with(good, "Content-Type", "text/xml"), 415, "application/json"},
		{"no JSON", []byte("{"), gitHosts[0].headers(hookSecret, []byte("{")), 400, "cannot be read"},
		{"JSON of another shape", []byte(`{"ref":[1]}`), gitHosts[0].headers(hookSecret, body), 400, "cannot be read"},
		{"no host's headers", body, http.Header{}, 400, "no known git host"},
		{"nothing", nil, http.Header{}, 400, "cannot be read"},
		{"too large", bytes.Repeat([]byte(" "), maxDelivery+1), good, 413, "25 MiB"},
	} {
		rc := receiving(t, hookSecret, Repository{URL: gitHosts[0].url})
		status, text, _ := deliver(rc, c.body, c.header)
		if status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: %d %q, want %d %q", c.reason, status, text, c.status, c.text)
		}
		if strings.Contains(text, hookSecret) {
			t.Errorf("%s: the answer holds the secret", c.reason)
		}
	}
	rec := httptest.NewRecorder()
	receiving(t, "", Repository{URL: gitHosts[0].url}).Webhook().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/webhook", nil))
	if rec.Code != 405 || rec.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", rec.Code, rec.Header().Get("Allow"))
	}
}

func TestWebhookWithUnreadableSecretIsNotTaken(t *testing.T) {
	body := fixture(t, "github.json")
	c := receiving(t, "", Repository{URL: gitHosts[0].url, Webhook: Webhook{SecretFile: "/nowhere/secret"}})
	if status, _, woken := deliver(c, body, gitHosts[0].headers("", body)); status != 503 || woken != 0 {
		t.Errorf("%d, woke %d", status, woken)
	}
}

// Two replicas, of which one runs.
func TestWebhookReachesTheLeader(t *testing.T) {
	body := fixture(t, "github.json")
	good := gitHosts[0].headers(hookSecret, body)
	leader := receiving(t, hookSecret, Repository{URL: gitHosts[0].url})
	server := httptest.NewServer(leader.Webhook())
	defer server.Close()
	at := server.URL + "/webhook"
	standby := receiving(t, hookSecret, Repository{URL: gitHosts[0].url})
	standby.running.Store(false)
	standby.leader = func(context.Context) (string, error) { return at, nil }

	if status, text, _ := deliver(standby, body, good); status != 202 || text != "accepted" || len(leader.only().woken) != 1 {
		t.Errorf("through a standby: %d %q, the leader's wake-ups: %d", status, text, len(leader.only().woken))
	}
	if status, _, _ := deliver(standby, body, gitHosts[0].headers("x", body)); status != 401 {
		t.Errorf("unsigned through a standby: %d", status)
	}
	leader.running.Store(false) // it lost the lease, and the standby does not know yet
	leader.leader = standby.leader
	if status, text, _ := deliver(standby, body, good); status != 503 || !strings.Contains(text, "poll") {
		t.Errorf("to one that is not the leader any more: %d %q", status, text)
	}
	at = ""
	if status, _, _ := deliver(standby, body, good); status != 503 {
		t.Errorf("without a leader: %d", status)
	}
	standby.leader = nil
	if status, _, _ := deliver(standby, body, good); status != 503 {
		t.Errorf("not told of a leader: %d", status)
	}
}

// A push, a webhook, a rendered commit, through real servers.
func TestWebhookToPush(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	c := start(t, nil, h.url("env"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	server := httptest.NewServer(c.Webhook())
	defer server.Close()
	eventually(t, "the first pass", func() bool { return len(p.ours()) == 1 })

	p.pull()
	p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
	p.push()
	body := []byte(`{"ref":"refs/heads/main","repository":{"clone_url":"` + h.url("env") + `"}}`)
	for range 3 { // a repeated delivery does no harm
		r, _ := http.NewRequest(http.MethodPost, server.URL, bytes.NewReader(body))
		r.Header = header("X-GitHub-Event", "push", "Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusAccepted {
			t.Fatalf("%d %s", res.StatusCode, said)
		}
	}
	eventually(t, "the rendered commit", func() bool { return len(p.ours()) == 2 })
}

// A recorded delivery, sent again and again: the branch is looked at no more often than every minPause, and nothing is pushed.
func TestReplayedDeliveriesAreBounded(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	c := start(t, nil, h.url("env"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	eventually(t, "the first pass", func() bool { return len(p.ours()) == 1 })
	tip, before, began := p.tip(), h.requests.Load(), time.Now()
	body := []byte(`{"ref":"refs/heads/main","repository":{"clone_url":"` + h.url("env") + `"}}`)
	hook, n := c.Webhook(), 0
	for ; time.Since(began) < 4*minPause; n++ {
		r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
		r.Header = header("X-GitHub-Event", "push", "Content-Type", "application/json")
		rec := httptest.NewRecorder()
		hook.ServeHTTP(rec, r)
		if rec.Code != http.StatusAccepted {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	looks := int64(time.Since(began)/minPause) + 3 // one request each, and those under way at the ends
	if got := h.requests.Load() - before; got > looks || n < 100 {
		t.Errorf("%d deliveries made %d requests to the host, want %d at most", n, got, looks)
	}
	if p.tip() != tip {
		t.Error("a replayed delivery changed the branch")
	}
}

// A forged delivery of very many elements costs no more than what it is read from.
func TestDeliveryOfManyElementsTakesLittleMemory(t *testing.T) {
	for _, c := range []struct {
		event, form, element string
		status               int
	}{
		{"repo:push", `{"push":{"changes":[%s]}}`, `{}`, 200},
		{"repo:push", `{"push":{"changes":[%s]}}`, `1`, 400},
		{"repo:refs_changed", `{"changes":[%s]}`, `{}`, 200},
		{"repo:push", `{"repository":{"links":{"clone":[%s]}}}`, `{}`, 200},
		{"", `{"eventType":"git.push","resource":{"refUpdates":[%s]}}`, `{}`, 200},
	} {
		body := fmt.Appendf(nil, c.form, strings.Repeat(c.element+",", 1<<20)+c.element)
		rc := receiving(t, hookSecret, Repository{URL: gitHosts[0].url}).Webhook().(*receiver)
		r := httptest.NewRequest(http.MethodPost, "/webhook", nil)
		r.Header = header("X-Event-Key", c.event, "Content-Type", "application/json")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, a := rc.handle(r, body)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; a.status != c.status || took > 4<<20 {
			t.Errorf("%s of %s: %d %q, with %d KiB of memory", c.form, c.element, a.status, a.text, took>>10)
		}
	}
}
