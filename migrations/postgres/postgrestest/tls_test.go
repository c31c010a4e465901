package postgrestest_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

func TestTLS(t *testing.T) {
	s, err := postgrestest.Start(t.Context(), postgrestest.Options{TLS: true, Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for name, url := range map[string]string{
		"address": s.URL("postgres"),
		"name":    strings.Replace(s.URL("postgres"), "127.0.0.1", "localhost", 1),
	} {
		conn, err := pgconn.Connect(t.Context(), url)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		result, err := conn.Exec(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").ReadAll()
		if err != nil || string(result[0].Rows[0][0]) != "t" {
			t.Errorf("%s: the session is not encrypted: %v", name, err)
		}
		conn.Close(t.Context())
	}
	other, err := postgrestest.Start(t.Context(), postgrestest.Options{TLS: true, Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Stop()
	if _, err := pgconn.Connect(t.Context(), strings.Replace(s.URL("postgres"), filepath.Base(s.SocketDir()), filepath.Base(other.SocketDir()), 1)); err == nil {
		t.Error("another authority's certificate was accepted")
	}
}
