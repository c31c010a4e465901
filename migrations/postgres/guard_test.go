package postgres_test

import (
	"bytes"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// asks is the question for a set by its outline, as a rendered guard asks it.
func asks(set migrations.Set) postgres.Question {
	o := set.Outline()
	return postgres.Question{Absent: func(applied []migrations.Applied) (string, error) { return o.Absent(applied), nil }}
}

// A guard says yes exactly where migrate has nothing to do, at the cost of one connection and one query, and leaves nothing behind.
func TestGuardIsOneQueryAndWritesNothing(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	set := load(t, files("V1__a.sql", "CREATE TABLE a (id int)", "V2__b.sql", "CREATE TABLE b (id int)", "R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT id FROM a"))
	report, err := postgres.Guard(t.Context(), cfg, asks(set))
	if postgres.ExitCode(err) != migrations.ExitRejected || report.Failure == nil || report.Failure.Hint == "" || !report.Failure.Permanent {
		t.Fatalf("of a fresh database: %v: %+v", err, report)
	}
	if tables := query(t, url, "SELECT count(*) FROM pg_namespace WHERE nspname = 'schemawave'"); tables[0] != "0" {
		t.Error("asking has made a ledger")
	}
	migrate(t, cfg, set)
	runs := query(t, url, "SELECT count(*) FROM schemawave.run")[0]
	w := wire{onWrite: func(written []byte) {
		if bytes.Contains(written, []byte("advisory")) {
			t.Errorf("a guard takes a lock: %q", written)
		}
	}}
	w.tap(&cfg)
	cfg.Conn.RuntimeParams["default_transaction_read_only"] = "on"
	report, err = postgres.Guard(t.Context(), cfg, asks(set))
	dials, _, queries := w.counts()
	if err != nil || report.Outcome != migrations.OutcomeCurrent || report.To != "2" || dials != 1 || queries != 1 {
		t.Errorf("%v: %+v, %d connections, %d queries", err, report, dials, queries)
	}
	if now := query(t, url, "SELECT count(*) FROM schemawave.run")[0]; now != runs {
		t.Errorf("%s runs are recorded, want %s as before", now, runs)
	}
}

// The order in which a set was applied makes no difference.
func TestGuardAfterAnOutOfOrderMigration(t *testing.T) {
	cfg := config(t, freshURL(t))
	cfg.OutOfOrder = migrations.OutOfOrderApply
	migrate(t, cfg, load(t, files("1_a.sql", "SELECT 1", "3_c.sql", "SELECT 3")))
	all := load(t, files("1_a.sql", "SELECT 1", "2_b.sql", "SELECT 2", "3_c.sql", "SELECT 3"))
	if _, err := postgres.Guard(t.Context(), cfg, asks(all)); postgres.ExitCode(err) != migrations.ExitRejected {
		t.Fatalf("before: %v", err)
	}
	migrate(t, cfg, all)
	if _, err := postgres.Guard(t.Context(), cfg, asks(all)); err != nil {
		t.Error(err)
	}
}
