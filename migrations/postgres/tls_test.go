package postgres_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

const (
	password      = "p@ss/w0rd'\"%20"
	otherPassword = "0ther-s3cret"
)

// secure starts a server that asks for a password (SCRAM) and offers TLS.
func secure(t *testing.T) *postgrestest.Server {
	t.Helper()
	s, err := postgrestest.Start(t.Context(), postgrestest.Options{TLS: true, Password: password, Settings: map[string]string{"listen_addresses": "127.0.0.1,127.0.0.2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

// altered is a URL with another password, host or parameters, where they are given.
func altered(t *testing.T, from, password, host string, params map[string]string) string {
	t.Helper()
	u, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		u.User = url.UserPassword(u.User.Username(), password)
	}
	if host != "" {
		u.Host = host + ":" + u.Port()
	}
	q := u.Query()
	for name, value := range params {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func TestTLSAndPassword(t *testing.T) {
	s, stranger := secure(t), secure(t)
	db, err := s.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.crt")
	if err := os.WriteFile(broken, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, url string
		code      migrations.ExitCode
		hint      string
	}{
		{"verified", db, migrations.ExitDone, ""},
		{"verified by name", altered(t, db, "", "localhost", nil), migrations.ExitDone, ""},
		{"authority alone", altered(t, db, "", "", map[string]string{"sslmode": "verify-ca"}), migrations.ExitDone, ""},
		{"encrypted but not verified", altered(t, db, "", "", map[string]string{"sslmode": "require", "sslrootcert": ""}), migrations.ExitDone, ""},
		{"another authority", altered(t, db, "", "", map[string]string{"sslrootcert": stranger.CA()}), migrations.ExitConfig, "sslrootcert"},
		{"the system's authorities", altered(t, db, "", "", map[string]string{"sslrootcert": ""}), migrations.ExitConfig, "sslrootcert"},
		{"another host's certificate", altered(t, db, "", "127.0.0.2", nil), migrations.ExitConfig, "host name"},
		{"a server without TLS", altered(t, server.URL("postgres"), "", "", map[string]string{"sslmode": "verify-full"}), migrations.ExitConfig, "sslmode"},
		{"no such file", altered(t, db, "", "", map[string]string{"sslrootcert": "/nonexistent"}), migrations.ExitConfig, "sslrootcert"},
		{"no certificate in the file", altered(t, db, "", "", map[string]string{"sslrootcert": broken}), migrations.ExitConfig, "sslrootcert"},
		{"wrong password", altered(t, db, otherPassword, "", nil), migrations.ExitDenied, "password"},
		{"no password", strings.Replace(db, url.UserPassword("postgres", password).String()+"@", "postgres@", 1), migrations.ExitDenied, "password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := postgres.ParseConfig(func(name string) string { return map[string]string{"DATABASE_URL": c.url}[name] })
			texts := []string{fmt.Sprint(err)}
			if err == nil {
				var log logged
				cfg := postgres.Config{Conn: conn, Database: "orders", Retries: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))}
				var report migrations.Report
				report, err = postgres.Migrate(t.Context(), cfg, load(t, numbered(2)))
				encoded, _ := report.Encode()
				texts = append(texts, fmt.Sprintf("%v %+v %#v", err, err, err), string(encoded), log.String())
			}
			if got := postgres.ExitCode(err); got != c.code {
				t.Errorf("exit %d, want %d: %v", got, c.code, err)
			}
			if err != nil && !strings.Contains(postgres.FailureOf(err).Hint, c.hint) {
				t.Errorf("hint: %q", postgres.FailureOf(err).Hint)
			}
			for _, text := range texts {
				for _, secret := range []string{password, url.UserPassword("", password).String()[1:], otherPassword} {
					if strings.Contains(text, secret) {
						t.Errorf("tells the password: %s", text)
					}
				}
			}
			t.Logf("%v", err)
		})
	}
}
