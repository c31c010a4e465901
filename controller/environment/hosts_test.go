package environment

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCertificatesFromFile(t *testing.T) {
	h := newHost(t)
	h.repository("env", shop("orders"))
	server := httptest.NewTLSServer(h.server.Handler)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	w := start(t, func(o *Options) { o.Config.Repositories[0].Credentials.CAFile = file }, server.URL+"/env.git").only()
	fails(t, w, FaultConfiguration, "credentials.caFile")
	if err := os.WriteFile(file, []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	fails(t, w, FaultConfiguration, "holds no certificate in PEM form")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	pass(t, w, Pushed)
	fails(t, start(t, nil, server.URL+"/env.git").only(), FaultUnreachable, "certificate signed by unknown authority")
}

// Azure DevOps is spoken to in another way, with which any git host must cope.
func TestAzureDialect(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	w := start(t, nil, h.url("env")).only()
	if err := w.prepare(); err != nil {
		t.Fatal(err)
	}
	w.remote.azure = true
	pass(t, w, Pushed)
	for i := range 3 {
		p.pull()
		p.commit("source", map[string]string{"migrations/orders/000" + string(rune('2'+i)) + ".sql": "x\n"})
		p.push()
		pass(t, w, Pushed)
	}
	p.pull()
	p.git("revert", "--no-edit", "HEAD")
	p.push()
	equal(t, "held", pass(t, w, Current).Held, []string{"apps/orders"})
}

func TestOnlyTouchedOverlaysAreRenderedOnAzure(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders", "billing"))
	r := digestRenderer{version: "1"}
	var mu sync.Mutex
	var seen []string
	w := start(t, func(o *Options) {
		o.Render = each(func(ctx context.Context, root, overlay string) (Rendering, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, overlay)
			return r.render(ctx, root, overlay)
		})
	}, h.url("env")).only()
	if err := w.prepare(); err != nil {
		t.Fatal(err)
	}
	w.remote.azure = true
	pass(t, w, Pushed)
	for _, file := range []string{"2", "3"} {
		seen = nil
		p.pull()
		p.commit("source", map[string]string{"migrations/orders/" + file + ".sql": "x\n"})
		p.push()
		pass(t, w, Pushed)
		equal(t, "looked at", seen, []string{"apps/orders"})
	}
}

func TestHostWithAnErrorPage(t *testing.T) {
	for status, reason := range map[int]FaultReason{
		http.StatusForbidden: FaultAuth, http.StatusNotFound: FaultAuth, http.StatusUnauthorized: FaultAuth,
		http.StatusBadGateway: FaultUnreachable, http.StatusOK: FaultUnreachable,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>\n<body>a page for people</body>\n</html>"))
		}))
		fails(t, start(t, nil, server.URL+"/env.git").only(), reason)
		server.Close()
	}
}

// A host that asks to be left alone is, for as long as it says, within reason.
func TestHostThatAsksToBeLeftAlone(t *testing.T) {
	for _, c := range []struct {
		reason string
		status int
		after  string
		words  string
		least  time.Duration
	}{
		{"a rate is limited", 429, "600", "fetch: the host limits the rate of requests (429)", 10 * time.Minute},
		{"too much work", 503, "60", "fetch: the host is overloaded or under maintenance (503)", time.Minute},
		{"it does not say how long", 429, "", "limits the rate", minPause},
		{"nonsense", 503, "soon", "overloaded", minPause},
		{"a negative time", 503, "-5", "overloaded", minPause},
		{"a date", 503, "Fri, 31 Dec 9999 23:59:59 GMT", "overloaded", maxRest},
		{"a date that is over", 503, "Fri, 31 Dec 1999 23:59:59 GMT", "overloaded", minPause},
		{"for ever", 429, "99999999999999999", "limits the rate", minPause},
		{"a day", 429, "86400", "limits the rate", maxRest},
	} {
		t.Run(c.reason, func(t *testing.T) {
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.after != "" {
					w.Header().Set("Retry-After", c.after)
				}
				w.WriteHeader(c.status)
			}))
			defer host.Close()
			w := start(t, func(o *Options) {
				o.Config.Repositories[0].Host = Host{Kind: GitHub, APIURL: host.URL, TokenFile: put(t, "token", []byte("secret"))}
			}, host.URL+"/shop/env.git").only()
			fails(t, w, FaultUnreachable, c.words)
			for what, err := range map[string]error{"git": w.pass(t.Context()).Err, "API": w.api.setStatus(t.Context(), "c0ffee", status{})} {
				least, most := w.pauses(err, firstRetry)
				if least != c.least || most < least || reasonOf(err) != FaultUnreachable {
					t.Errorf("%s: %v: from %s to %s, want %s at least", what, err, least, most, c.least)
				}
			}
		})
	}
}

// Neither git's credentials nor the API's token follow a redirect to another host.
func TestCredentialsStayOnTheirHost(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s has come here, with %d credentials", r.Method, r.URL.Path, len(r.Header["Authorization"]))
	}))
	defer elsewhere.Close()
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}))
	defer host.Close()
	w := start(t, func(o *Options) {
		r := &o.Config.Repositories[0]
		r.Credentials = Credentials{Username: "u", PasswordFile: put(t, "password", []byte("secret"))}
		r.Host = Host{Kind: GitHub, APIURL: host.URL}
	}, host.URL+"/shop/env.git").only()
	fails(t, w, FaultUnreachable, "the host redirects to "+elsewhere.URL)
	err := w.api.setStatus(t.Context(), "c0ffee", status{name: "schemawave/main"})
	if err == nil || reasonOf(err) != FaultUnreachable || !strings.Contains(err.Error(), "the host redirects to ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a status led elsewhere: %v", err)
	}
}

// What hosts say in their own ways is neither success nor for want of a right.
func TestAnswersThatMeanOtherThings(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		header string
		want   FaultReason
	}{
		{"Azure DevOps shows its page for logging in", http.StatusNonAuthoritativeInfo, "", FaultAuth},
		{"GitHub limits the rate", http.StatusForbidden, "Retry-After", FaultUnreachable},
		{"a right is missing", http.StatusForbidden, "", FaultAuth},
		{"a POST that became a GET", http.StatusFound, "Location", FaultRejected},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.header != "" {
					w.Header().Set(c.header, "/60")
				}
				w.WriteHeader(c.status)
			}))
			defer host.Close()
			w := start(t, func(o *Options) {
				o.Config.Repositories[0].Host = Host{Kind: GitHub, APIURL: host.URL, TokenFile: put(t, "token", []byte("secret"))}
			}, host.URL+"/shop/env.git").only()
			if err := w.api.setStatus(t.Context(), "c0ffee", status{}); err == nil || reasonOf(err) != c.want {
				t.Errorf("%v, not %s", err, c.want)
			}
		})
	}
}
