package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

func TestBaseline(t *testing.T) {
	url := freshURL(t)
	direct := config(t, url)
	through := config(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url)))
	through.LedgerSchema = "through_a_pooler"
	for name, cfg := range map[string]postgres.Config{"direct": direct, "pooler": through} {
		t.Run(name, func(t *testing.T) {
			set := load(t, files("1_a.up.sql", "CREATE TABLE a (id int)", "1_a.down.sql", "DROP TABLE a", "2_b.up.sql", "SELECT no_such_function()",
				"3_c.up.sql", "CREATE TABLE "+name+" (id int)"))
			versions, err := postgres.Baseline(t.Context(), cfg, set, "2")
			if err != nil || !slices.Equal(versions, []migrations.Version{"1", "2"}) {
				t.Fatalf("%v, %v", versions, err)
			}
			if got := query(t, url, "SELECT to_regclass('a') IS NULL"); got[0] != "t" {
				t.Error("a migration was run")
			}
			history, err := postgres.Status(t.Context(), cfg)
			if err != nil || len(history.Migrations) != 2 {
				t.Fatalf("%+v, %v", history, err)
			}
			if m := history.Migrations[0]; m.Run != "" || m.Down != "DROP TABLE a" || m.Checksum != set.Migrations[0].Checksum || m.AppliedAt.IsZero() {
				t.Errorf("%+v", m)
			}
			if report := migrate(t, cfg, set); report.Count != 1 || report.From != "2" || report.To != "3" {
				t.Errorf("%+v", report)
			}
			if _, err := postgres.Baseline(t.Context(), cfg, set, "2"); postgres.ExitCode(err) != migrations.ExitRejected || !strings.Contains(err.Error(), "up to version 3") {
				t.Errorf("with another history: %v", err)
			}
			if versions, err := postgres.Baseline(t.Context(), cfg, set, "3"); err != nil || len(versions) != 3 {
				t.Errorf("with this very history: %v, %v", versions, err)
			}
		})
	}
}

// After a baseline at the newest version a run is one query, as if the migrations had been applied here.
func TestBaselineAtTheNewestIsCurrent(t *testing.T) {
	cfg := config(t, freshURL(t))
	set := load(t, numbered(3))
	if _, err := postgres.Baseline(t.Context(), cfg, set, "latest"); err != nil {
		t.Fatal(err)
	}
	isOneQuery(t, cfg, set)
}

// A migration that was half applied, and completed by hand, is as applied as the others: what was noted of its statements is gone.
func TestBaselineOverAHalfAppliedMigration(t *testing.T) {
	cfg := config(t, freshURL(t))
	set := load(t, files("1_a.up.sql", "-- schemawave: no-transaction\nCREATE TABLE a (v int);\nSELECT no_such_function();", "1_a.down.sql", "DROP TABLE a"))
	if _, err := postgres.Migrate(t.Context(), cfg, set); err == nil {
		t.Fatal("nothing failed")
	}
	if _, err := postgres.Baseline(t.Context(), cfg, set, "latest"); err != nil {
		t.Fatal(err)
	}
	if history, err := postgres.Status(t.Context(), cfg); err != nil || len(history.Unfinished) != 0 {
		t.Errorf("half applied: %v, %v", history.Unfinished, err)
	}
	if _, err := postgres.Down(t.Context(), cfg, ""); err != nil {
		t.Errorf("down: %v", err)
	}
}

func TestARefusedBaselineLeavesNothing(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	if _, err := postgres.Baseline(t.Context(), cfg, load(t, numbered(3)), "7"); postgres.ExitCode(err) != migrations.ExitConfig {
		t.Errorf("a version that is not there: %v", err)
	}
	if _, err := postgres.Baseline(t.Context(), cfg, migrations.Set{}, "latest"); postgres.ExitCode(err) != migrations.ExitConfig {
		t.Errorf("no migrations: %v", err)
	}
	if got := query(t, url, "SELECT to_regnamespace('schemawave') IS NULL"); got[0] != "t" {
		t.Error("a ledger was made")
	}
}

// isOneQuery runs the set and wants it to find everything done by asking one query.
func isOneQuery(t *testing.T, cfg postgres.Config, set migrations.Set) {
	t.Helper()
	w := &wire{}
	tapped := cfg
	tapped.Conn = cfg.Conn.Copy()
	w.tap(&tapped)
	report := migrate(t, tapped, set)
	_, _, queries := w.counts()
	if report.Outcome != migrations.OutcomeCurrent || report.To != set.Latest() || queries != 1 {
		t.Errorf("%d queries: %+v", queries, report)
	}
	history, err := postgres.Status(t.Context(), cfg)
	if n := len(history.Migrations); err != nil || n == 0 || history.Migrations[n-1].Digest != set.HistoryDigest() {
		t.Errorf("the newest row's digest is not the set's: %+v, %v", history, err)
	}
}
