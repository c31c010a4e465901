package postgres_test

import (
	"testing"
	"time"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// What REINDEX CONCURRENTLY rebuilds beside the table's own indexes leaves copies, too, when it is interrupted: the index of
// the TOAST table, those of partitions, those of a schema's tables.
func TestInterruptedReindexLeavesNothingAnywhere(t *testing.T) {
	for name, c := range map[string]struct{ before, sql string }{
		"TOAST":       {"CREATE TABLE d (v text)", "REINDEX TABLE CONCURRENTLY d"},
		"partitions":  {"CREATE TABLE d (v int) PARTITION BY LIST (v); CREATE TABLE d_1 PARTITION OF d FOR VALUES IN (1)", "REINDEX TABLE CONCURRENTLY d"},
		"partitioned": {"CREATE TABLE d (v int) PARTITION BY LIST (v); CREATE TABLE d_1 PARTITION OF d FOR VALUES IN (1)", "REINDEX INDEX CONCURRENTLY i"},
		"schema":      {"CREATE TABLE d (v int)", "REINDEX SCHEMA CONCURRENTLY public"},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			query(t, url, c.before+"; INSERT INTO d VALUES (1); CREATE INDEX i ON d (v)")
			end := holdSnapshot(t, url, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1")
			cfg := config(t, url)
			cfg.StatementTimeout, cfg.Retries = 300*time.Millisecond, -1
			set := load(t, files("1_x.sql", c.sql))
			if _, err := postgres.Migrate(t.Context(), cfg, set); postgres.ExitCode(err) != migrations.ExitBusy {
				t.Fatalf("first: %v", err)
			}
			const invalid = "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid ORDER BY 1"
			left := query(t, url, invalid)
			if len(left) == 0 {
				t.Fatal("the interrupted attempt left nothing to look for")
			}
			end()
			migrate(t, cfg, set)
			if got := query(t, url, invalid); len(got) != 0 {
				t.Errorf("left: %v of %v", got, left)
			}
		})
	}
}
