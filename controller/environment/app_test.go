package environment

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// appHost gives out installation tokens for an App's key, as GitHub does, which the git host then demands.
type appHost struct {
	*httptest.Server
	git    *host
	key    *rsa.PrivateKey
	life   time.Duration // of a token
	issued atomic.Int64
}

func newAppHost(t *testing.T) *appHost {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a := &appHost{git: newHost(t), key: key, life: time.Hour}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v3/app/installations/42/access_tokens", func(w http.ResponseWriter, r *http.Request) {
		var claims jwt.RegisteredClaims
		_, err := jwt.ParseWithClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), &claims,
			func(*jwt.Token) (any, error) { return a.key.Public(), nil }, jwt.WithValidMethods([]string{"RS256"}))
		if err != nil || claims.Issuer != "7" || claims.ExpiresAt == nil || time.Until(claims.ExpiresAt.Time) > 10*time.Minute {
			http.Error(w, `{"message":"A JSON web token could not be decoded"}`, http.StatusUnauthorized)
			return
		}
		token := fmt.Sprint("installation token ", a.issued.Add(1))
		a.git.password.Store(&token)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_at": time.Now().Add(a.life)})
	})
	mux.Handle("/", a.git.server.Handler)
	a.git.user = "x-access-token"
	nobody := ""
	a.git.password.Store(&nobody)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *appHost) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(a.key)})
}

func TestGitHubApp(t *testing.T) {
	a := newAppHost(t)
	if err := os.Mkdir(a.git.dir+"/shop", 0o755); err != nil {
		t.Fatal(err)
	}
	p := a.git.repository("shop/env", shop("orders"))
	file := put(t, "key", a.pem())
	with := func(app GitHubApp) *writer {
		return start(t, func(o *Options) { o.Config.Repositories[0].Credentials.GitHubApp = app }, a.URL+"/shop/env.git").only()
	}
	w := with(GitHubApp{7, 42, file})
	pass(t, w, Pushed)
	pass(t, w, Unchanged)
	if n := a.issued.Load(); n != 1 {
		t.Errorf("%d tokens for two passes, want 1", n)
	}

	revoked := "another token"
	a.git.password.Store(&revoked) // the installation was changed
	fails(t, w, FaultAuth, "the host refuses the GitHub App's token")
	pass(t, w, Unchanged)

	a.life = time.Second // gone before it is used again: a minute counts as gone
	for i := range 2 {
		token := "another token"
		a.git.password.Store(&token)
		w.remote.dialer.app.drop()
		p.pull()
		p.commit("source", map[string]string{fmt.Sprintf("migrations/orders/000%d.sql", i+2): "x\n"})
		p.push()
		was := a.issued.Load()
		pass(t, w, Pushed)
		if a.issued.Load() == was {
			t.Error("an expired token was used")
		}
	}

	fails(t, with(GitHubApp{8, 42, file}), FaultAuth, "credentials.githubApp: the key, id and installationID")
	fails(t, with(GitHubApp{7, 43, file}), FaultAuth, "github app 7: no token: 401")
	fails(t, with(GitHubApp{7, 42, put(t, "key", []byte("nonsense"))}), FaultConfiguration, "is no RSA key in PEM")
	fails(t, with(GitHubApp{7, 42, "/nowhere/key"}), FaultConfiguration, "is the Secret mounted?")

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a.key = other // rotated, here and there
	w.remote.dialer.app.drop()
	fails(t, w, FaultAuth, "credentials.githubApp")
	if err := os.WriteFile(file, a.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	pass(t, w, Unchanged)
}

// A token that the API refuses is not kept until it expires.
func TestGitHubAppTokenThatTheAPIRefuses(t *testing.T) {
	for status, header := range map[int]string{http.StatusUnauthorized: "X", http.StatusForbidden: "X", http.StatusTooManyRequests: "Retry-After"} {
		a := newAppHost(t)
		refused := true
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !strings.HasSuffix(r.URL.Path, "/pulls"):
				a.Config.Handler.ServeHTTP(w, r)
			case refused:
				w.Header().Set(header, "1")
				w.WriteHeader(status)
			default:
				_, _ = w.Write([]byte("[]"))
			}
		}))
		t.Cleanup(front.Close)
		api, err := newHostAPI(Repository{URL: front.URL + "/shop/env.git", Host: Host{Kind: GitHub},
			Credentials: Credentials{GitHubApp: GitHubApp{7, 42, put(t, "key", a.pem())}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.pulls(t.Context(), ownBranch, "main"); err == nil {
			t.Errorf("%d is no error", status)
		}
		refused = false
		if _, err := api.pulls(t.Context(), ownBranch, "main"); err != nil {
			t.Errorf("after %d: %v", status, err)
		}
		want := int64(2)
		if status == http.StatusTooManyRequests {
			want = 1 // that says nothing about the token
		}
		if n := a.issued.Load(); n != want {
			t.Errorf("%d tokens for a refusal with %d, want %d", n, status, want)
		}
	}
}
