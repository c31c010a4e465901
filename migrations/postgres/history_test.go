package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

func TestHistoryIsEnforced(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	a, b, c := "CREATE TABLE a (id int);", "CREATE TABLE b (id int);", "CREATE TABLE c (id int);"
	migrate(t, cfg, load(t, files("10_a.sql", a, "30_c.sql", c)))

	refuse := func(name, file string, want any, pairs ...string) {
		t.Helper()
		report, err := postgres.Migrate(t.Context(), cfg, load(t, files(pairs...)))
		if postgres.ExitCode(err) != migrations.ExitRejected || report.Failure == nil || report.Failure.Hint == "" || report.Failure.File != file {
			t.Errorf("%s: %v: %+v", name, err, report.Failure)
		}
		if !errors.As(err, want) {
			t.Errorf("%s: %T", name, err)
		}
	}
	refuse("edited", "10_a.sql", new(*migrations.EditedError), "10_a.sql", a+" -- more", "30_c.sql", c)
	refuse("gone", "", new(*migrations.MissingFileError), "30_c.sql", c)
	refuse("late", "20_b.sql", new(*migrations.OutOfOrderError), "10_a.sql", a, "20_b.sql", b, "30_c.sql", c)

	if report := migrate(t, cfg, load(t, files("10_a.sql", a))); report.Outcome != migrations.OutcomeAhead || report.From != "30" || report.To != "30" {
		t.Errorf("older image: %+v", report)
	}
	skip := cfg
	skip.OutOfOrder = migrations.OutOfOrderSkip
	all := load(t, files("10_a.sql", a, "20_b.sql", b, "30_c.sql", c))
	if report := migrate(t, skip, all); report.Outcome != migrations.OutcomeCurrent {
		t.Errorf("skip: %+v", report)
	}
	apply := cfg
	apply.OutOfOrder = migrations.OutOfOrderApply
	if report := migrate(t, apply, all); report.Count != 1 || report.To != "30" || report.Applied[0] != "20" {
		t.Errorf("apply: %+v", report)
	}
	if got := recorded(t, cfg); !slices.Equal(got, []string{"10", "30", "20"}) {
		t.Errorf("in the order of application: %v", got)
	}
	migrate(t, cfg, load(t, files("10_a.sql", a, "20_b.sql", b, "30_c.sql", c, "40_d.sql", "SELECT 1")))
	if got := recorded(t, cfg); !slices.Equal(got, []string{"10", "30", "20", "40"}) {
		t.Errorf("after a late one: %v", got)
	}
	history, err := postgres.Status(t.Context(), cfg)
	if err != nil || history.Migrations[2].Digest != all.Digest() {
		t.Errorf("the ledger does not show the set's digest: %+v, %v", history, err)
	}
}

func TestRenamingAFileChangesNothing(t *testing.T) {
	cfg := config(t, freshURL(t))
	migrate(t, cfg, load(t, files("7_a.sql", "SELECT 1")))
	if report := migrate(t, cfg, load(t, files("0007_b.sql", "SELECT 1"))); report.Outcome != migrations.OutcomeCurrent {
		t.Errorf("%+v", report)
	}
	if report := migrate(t, cfg, load(t, files("7.0_b.sql", "SELECT 1"))); report.Outcome != migrations.OutcomeCurrent {
		t.Errorf("another spelling of the version: %+v", report)
	}
}

// TestDigestOfAJob has the report and the list of runs tell what was rendered, and the history what was applied.
func TestDigestOfAJob(t *testing.T) {
	url := freshURL(t)
	cfg, set := config(t, url), load(t, numbered(2))
	cfg.Digest = "sha256:of-the-job"
	report := migrate(t, cfg, set)
	if run := query(t, url, "SELECT digest FROM schemawave.run WHERE id = '"+report.Run+"'"); report.Digest != cfg.Digest || len(run) != 1 || run[0] != cfg.Digest {
		t.Errorf("report %s, run %v", report.Digest, run)
	}
	history, err := postgres.Status(t.Context(), cfg)
	if err != nil || history.Migrations[1].Digest != set.Digest() {
		t.Errorf("%+v, %v", history.Migrations, err)
	}
	isOneQuery(t, cfg, set)
}

func TestTarget(t *testing.T) {
	cfg := config(t, freshURL(t))
	set := load(t, numbered(5))
	cfg.Target = "3"
	upto, err := set.Upto("3")
	if err != nil {
		t.Fatal(err)
	}
	if report := migrate(t, cfg, set); report.To != "3" || report.Count != 3 || report.Digest != upto.Digest() {
		t.Errorf("%+v", report)
	}
	cfg.Target = "7"
	report, err := postgres.Migrate(t.Context(), cfg, set)
	if postgres.ExitCode(err) != migrations.ExitConfig || report.Outcome != migrations.OutcomeFailed || !strings.Contains(err.Error(), "nearest: 4, 5") {
		t.Errorf("%v", err)
	}
	cfg.Target = "latest"
	if report := migrate(t, cfg, set); report.To != "5" || report.Count != 2 || report.From != "3" {
		t.Errorf("%+v", report)
	}
}

func TestMinCompatibleIsReported(t *testing.T) {
	cfg := config(t, freshURL(t))
	one, two := "CREATE TABLE a (id int);", "-- schemawave: min-compatible 2\nDROP TABLE a;"
	set := load(t, files("1_a.sql", one, "2_b.sql", two, "3_c.sql", "SELECT 1"))
	if report := migrate(t, cfg, set); report.MinCompatible != "2" {
		t.Errorf("applied: %+v", report)
	}
	if report := migrate(t, cfg, set); report.MinCompatible != "2" {
		t.Errorf("current: %+v", report)
	}
	if report := migrate(t, cfg, load(t, files("1_a.sql", one))); report.MinCompatible != "2" || report.Outcome != migrations.OutcomeAhead {
		t.Errorf("ahead: %+v", report)
	}
}

func TestStatus(t *testing.T) {
	cfg := config(t, freshURL(t))
	if history, err := postgres.Status(t.Context(), cfg); err != nil || history.Database != "" || len(history.Migrations) != 0 {
		t.Errorf("no ledger: %+v, %v", history, err)
	}
	set := load(t, files("1_a.up.sql", "CREATE TABLE a (id int)", "1_a.down.sql", "DROP TABLE a; -- it's gone", "2_b.up.sql", "SELECT 1"))
	report := migrate(t, cfg, set)
	history, err := postgres.Status(t.Context(), cfg)
	if err != nil || history.Database != "orders" || len(history.Migrations) != 2 {
		t.Fatalf("%+v, %v", history, err)
	}
	a, b := history.Migrations[0], history.Migrations[1]
	if a.Version != "1" || a.Name != "a" || a.Checksum != set.Migrations[0].Checksum || a.Down != "DROP TABLE a; -- it's gone" || a.Run != report.Run || a.Previous != "" || a.Took <= 0 {
		t.Errorf("%+v", a)
	}
	if b.Version != "2" || b.Previous != "1" || b.Down != "" || b.AppliedAt.Before(a.AppliedAt) {
		t.Errorf("%+v", b)
	}
}

// The chain of the ledger refuses a second successor and a gap, even from a session without the lock.
func TestLedgerIsAFence(t *testing.T) {
	url := freshURL(t)
	migrate(t, config(t, url), load(t, numbered(2)))
	for _, row := range []string{"('2', '2', '', '')", "('3', '1', '', '')", "('3', '9', '', '')", "('3', NULL, '', '')"} {
		got := query(t, url, `DO $$ BEGIN INSERT INTO schemawave.migration (version, previous, name, checksum) VALUES `+row+`;
RAISE EXCEPTION 'accepted'; EXCEPTION WHEN integrity_constraint_violation THEN END $$; SELECT 'refused'`)
		if got[0] != "refused" {
			t.Errorf("%s: %v", row, got)
		}
	}
}

func TestMisconfiguredRunsStillReport(t *testing.T) {
	set := load(t, numbered(1))
	good := config(t, freshURL(t))
	for name, change := range map[string]func(*postgres.Config){
		"no connection":   func(c *postgres.Config) { c.Conn = nil },
		"no name":         func(c *postgres.Config) { c.Database = "" },
		"unknown policy":  func(c *postgres.Config) { c.OutOfOrder = "maybe" },
		"too long schema": func(c *postgres.Config) { c.LedgerSchema = strings.Repeat("x", 64) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			change(&cfg)
			report, err := postgres.Migrate(t.Context(), cfg, set)
			if postgres.ExitCode(err) != migrations.ExitConfig || report.Failure == nil || report.Failure.Hint == "" || report.Run == "" {
				t.Errorf("%v: %+v", err, report)
			}
			if _, err := report.Encode(); err != nil {
				t.Error(err)
			}
		})
	}
}
