package jetstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/schemawave/schemawave/events"
)

func TestOptionsFromEnv(t *testing.T) {
	got := OptionsFromEnv(func(name string) string { return "value of " + name })
	want := Options{
		URL: "value of NATS_URL", Creds: "value of NATS_CREDS", NKey: "value of NATS_NKEY", CA: "value of NATS_CA",
		Cert: "value of NATS_CERT", Key: "value of NATS_KEY", InboxPrefix: "value of NATS_INBOX_PREFIX",
	}
	if got != want {
		t.Errorf("got %+v", got)
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, o := range map[string]Options{
		"server 2 in NATS_URL":          {URL: "nats://127.0.0.1:4222,nats://u:hunter2@ho st"},
		"server 1 in NATS_URL":          {URL: "nats://u:hunter2@"},
		"not both":                      {Creds: file, NKey: file},
		"NATS_CREDS is the path":        {Creds: file + ".absent"},
		"NATS_NKEY is the path":         {NKey: file},
		"set NATS_CERT and NATS_KEY":    {Cert: file},
		"nats client certificate: tls:": {Cert: file, Key: file},
		"x holds no PEM certificate":    {CA: file},
		"nats authorities: open":        {CA: file + ".absent"},
	} {
		for _, o.Retry = range []bool{false, true} {
			_, err := Connect(bounded(t), o)
			var wrong *ConfigError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), says) {
				t.Errorf("%+v: got %v, want a configuration error with %q", o, err, says)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q holds the secret", err)
			}
		}
	}
}

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	o := Options{URL: "nats://u:hunter2@" + nobody(t)}
	_, err := Connect(bounded(t), o)
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("once: got %v", err)
	}
	o.Retry = true
	ctx, cancel := context.WithCancel(bounded(t))
	r := wait(t, ctx, NewWaiter(dialURL(t, o)), Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("is not connected"))
	cancel()
	_, err = r.over()
	if !errors.As(err, &unreachable) || !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("retrying: got %v", err)
	}
	p := publisher(t, dialURL(t, o))
	short, cancel := context.WithTimeout(bounded(t), 50*time.Millisecond)
	defer cancel()
	if _, _, err := p.State(short, "prod", "orders", ""); !errors.As(err, &unreachable) {
		t.Errorf("publisher: got %v", err)
	}
}

// Servers that accept a connection and say nothing are asked one after the other, 2 s each: whoever has no time for that need not wait.
func TestSilentServersAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	for _, retry := range []bool{true, false} {
		var silent []string
		ctx, cancel := context.WithCancelCause(bounded(t))
		t.Cleanup(func() { cancel(nil) })
		why := errors.New("no more time")
		for range 3 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			silent = append(silent, l.Addr().String())
			go func() {
				if nc, err := l.Accept(); err == nil {
					cancel(why)
					t.Cleanup(func() { nc.Close() })
				}
			}()
		}
		nc, err := Connect(ctx, Options{URL: strings.Join(silent, ","), Retry: retry})
		if nc != nil {
			nc.Close()
		}
		if unreachable := (*UnreachableError)(nil); !errors.As(err, &unreachable) || !errors.Is(err, why) {
			t.Errorf("retry %t: %v", retry, err)
		}
	}
}

// The server may come after the waiter.
func TestServerStartsDuringAWait(t *testing.T) {
	t.Parallel()
	s := run(t)
	s.Stop()
	nc := dialURL(t, Options{URL: s.URL(), Retry: true})
	r := wait(t, bounded(t), NewWaiter(nc), Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("is not connected"))
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	publish(t, publisher(t, dial(t, s)), "prod", "7", at("7"))
	released(t, r, "7")
}

func TestClosingTheConnectionEndsTheWait(t *testing.T) {
	nc := dial(t, run(t))
	r := wait(t, bounded(t), NewWaiter(nc), Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("no proven"))
	nc.Close()
	var unreachable *UnreachableError
	if _, err := r.over(); !errors.As(err, &unreachable) {
		t.Errorf("got %v", err)
	}
}

func TestNKeyAndTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority(t, dir)
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "user.nk"), seed, 0o600); err != nil {
		t.Fatal(err)
	}
	s := runBare(t, config(t, map[string]any{
		"authorization": map[string]any{"users": []user{{NKey: public}}},
		"tls":           map[string]any{"cert_file": dir + "/cert.pem", "key_file": dir + "/key.pem", "ca_file": dir + "/cert.pem", "verify": true},
	}))
	o := Options{URL: s.URL(), NKey: dir + "/user.nk", CA: dir + "/cert.pem", Cert: dir + "/cert.pem", Key: dir + "/key.pem"}
	ensure(t, dialURL(t, o))
	o.CA = ""
	var unreachable *UnreachableError
	if _, err := Connect(bounded(t), o); !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority: got %v", err)
	}
	// A wait that retries says why it cannot connect.
	o.Retry = true
	ctx, cancel := context.WithCancel(bounded(t))
	r := wait(t, ctx, NewWaiter(dialURL(t, o)), Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("certificate signed by unknown authority"))
	cancel()
	if _, err := r.over(); !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("retrying without the authority: got %v", err)
	}
}

// authority writes cert.pem and key.pem, a certificate for 127.0.0.1 and both ends that signs itself.
func authority(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "natstest"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert},
		"key.pem":  {Type: "EC PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
