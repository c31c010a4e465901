package postgrestest_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// A query through the pooler is answered by a server process that is not the one the connection seems to have.
func TestPooler(t *testing.T) {
	s, err := postgrestest.Start(t.Context(), postgrestest.Options{Password: "it's"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for _, mode := range []string{"", "session"} {
		t.Run(mode, func(t *testing.T) {
			p, err := postgrestest.StartPooler(t.Context(), s, postgrestest.PoolerOptions{Mode: mode, PoolSize: 2, IgnoreStartupParameters: []string{"lock_timeout", "work_mem"}})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Stop()
			conn, err := pgconn.Connect(t.Context(), p.URL("postgres")+"&lock_timeout=1s")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			result, err := conn.Exec(t.Context(), "SELECT pg_backend_pid()").ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if got := string(result[0].Rows[0][0]); got == strconv.Itoa(int(conn.PID())) {
				t.Errorf("server process %s is the one announced", got)
			}
			if _, err := pgconn.Connect(t.Context(), p.URL("postgres")+"&statement_timeout=1s"); err == nil || !strings.Contains(err.Error(), "unsupported startup parameter") {
				t.Errorf("a parameter that is not ignored: %v", err)
			}
			p.Stop()
			if _, err := pgconn.Connect(t.Context(), p.URL("postgres")); err == nil {
				t.Error("it answers after Stop")
			}
		})
	}
}

func TestPoolerFailsWhole(t *testing.T) {
	s, err := postgrestest.Start(t.Context(), postgrestest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if _, err := postgrestest.StartPooler(t.Context(), s, postgrestest.PoolerOptions{Mode: "nonsense"}); err == nil || !strings.Contains(err.Error(), "pool_mode") {
		t.Errorf("%v", err)
	}
}
