package environment

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
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
