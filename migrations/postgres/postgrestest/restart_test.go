package postgrestest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// However the server is restarted: sessions end, what was committed stays, the address too.
func TestRestart(t *testing.T) {
	s, err := postgrestest.Start(t.Context(), postgrestest.Options{Settings: map[string]string{"fsync": "on"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	url, err := s.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := func(sql string) string {
		t.Helper()
		conn, err := pgconn.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		result, err := conn.Exec(t.Context(), sql).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(result[0].Rows) == 0 {
			return ""
		}
		return string(result[0].Rows[0][0])
	}
	run("CREATE TABLE kept (v text)")
	for name, restart := range map[string]func(context.Context) error{
		"fast":      func(ctx context.Context) error { return s.Restart(ctx, false) },
		"immediate": func(ctx context.Context) error { return s.Restart(ctx, true) },
		"kill":      s.Kill,
	} {
		t.Run(name, func(t *testing.T) {
			run("INSERT INTO kept VALUES ('" + name + "')")
			before := run("SELECT pg_postmaster_start_time()")
			conn, err := pgconn.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if err := restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), "SELECT 1").ReadAll(); err == nil {
				t.Error("a session outlived it")
			}
			if run("SELECT pg_postmaster_start_time()") == before {
				t.Error("it is still the same server")
			}
			if got := run("SELECT count(*) FROM kept WHERE v = '" + name + "'"); got != "1" {
				t.Errorf("%s rows", got)
			}
		})
	}
}
