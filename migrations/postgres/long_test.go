package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// inserts is SQL of at least so many bytes, a line for each statement, which inserts the text.
func inserts(bytes int, text string) (sql string, lines int) {
	var b strings.Builder
	for ; b.Len() < bytes; lines++ {
		fmt.Fprintf(&b, "INSERT INTO t VALUES (%d, '%s');\n", lines, text)
	}
	return b.String(), lines
}

// The server needs many times the length of a message to parse it, so a long file must not be one.
func TestALongFileDoesNotFillTheServersMemory(t *testing.T) {
	url := freshURL(t)
	rows, n := inserts(8<<20, "ä;")
	migrate(t, config(t, url), load(t, files("1_a.sql", "CREATE TABLE t (a int, b text);\n"+rows+
		"CREATE TABLE used AS SELECT sum(total_bytes) / 1024 / 1024 AS megabytes FROM pg_backend_memory_contexts;")))
	if got := query(t, url, fmt.Sprintf("SELECT count(*) = %d, (SELECT megabytes < 64 FROM used), (SELECT megabytes FROM used) FROM t", n)); !strings.HasPrefix(got[0], "t|t|") {
		t.Errorf("all rows, within bounds, megabytes: %s", got[0])
	}
}

// However many messages a file takes, it is one transaction.
func TestALongFileIsOneTransaction(t *testing.T) {
	rows, n := inserts(3<<19, strings.Repeat("ä;", 100))
	for _, way := range []string{"direct", "pooled"} {
		t.Run(way, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			if way == "pooled" {
				cfg = config(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url)))
			}
			file := "CREATE TABLE t (a int, b text);\nSAVEPOINT s;\n" + rows + "ROLLBACK TO s; SELECT 'ä', nowhere;\n" + rows + "ROLLBACK TO s;\n" + rows
			report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", file, "2_b.sql", "CREATE TABLE b ()")))
			f := report.Failure
			if err == nil || f.Line != n+3 || f.Column != 28 || f.SQLState != "42703" || f.Statement != "SELECT '…', nowhere" {
				t.Fatalf("%v", err)
			}
			if got := query(t, url, "SELECT to_regclass('t'), to_regclass('b')"); got[0] != "|" {
				t.Errorf("left: %v", got)
			}
			// without a position from the server
			file = "CREATE TABLE t (a int, b text);\n" + rows + "SELECT 1 / 0;\n" + rows
			report, err = postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", file)))
			if f = report.Failure; err == nil || f.Line != n+2 || f.Column != 1 || f.SQLState != "22012" {
				t.Fatalf("%v", err)
			}
			file = "CREATE TABLE t (a int, b text, CONSTRAINT late UNIQUE (a) DEFERRABLE INITIALLY DEFERRED);\n" + rows + rows
			report, err = postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", file)))
			if f = report.Failure; err == nil || f.Line != 0 || f.SQLState != "23505" || !strings.Contains(f.Message, `"late" (at COMMIT)`) {
				t.Fatalf("%v", err)
			}
			report = migrate(t, cfg, load(t, files("1_a.sql", "CREATE TABLE t (a int, b text);\n"+rows, "2_b.sql", "CREATE TABLE b ()", "3_c.sql", rows, "4_d.sql", rows)))
			if got := query(t, url, "SELECT count(*) FROM t"); report.Count != 4 || got[0] != fmt.Sprint(3*n) {
				t.Errorf("%v rows, %+v", got, report)
			}
		})
	}
}
