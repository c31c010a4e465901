package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// Another session, as of another tenant's run, makes the same shared object at the same time: PostgreSQL answers the one that comes
// second with a duplicate in a catalogue or an internal error, and its next attempt finds the object there.
func TestALostRaceForASharedObjectIsTriedAgain(t *testing.T) {
	const function = "CREATE OR REPLACE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
	for name, c := range map[string]struct {
		before, sql, state string
	}{
		"an extension":          {"", "CREATE EXTENSION IF NOT EXISTS pg_trgm", "23505"},
		"a new function":        {"", function, "23505"},
		"a function replaced":   {function, function, "XX000"},
		"a schema":              {"", "CREATE SCHEMA IF NOT EXISTS shared", "23505"},
		"a grant":               {"CREATE TABLE shared ()", "GRANT SELECT ON shared TO pg_monitor", "XX000"},
		"without a transaction": {function, "-- schemawave: no-transaction\n" + function, "XX000"},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			if c.before != "" {
				query(t, url, c.before)
			}
			set := load(t, files("1_shared.sql", c.sql))
			overtaken := func(retries int) (migrations.Report, error) {
				cfg := config(t, url)
				cfg.LockTimeout, cfg.Retries = postgres.NoLimit, retries
				other := session(t, url)
				if _, err := other.Exec(t.Context(), "BEGIN; "+c.sql).ReadAll(); err != nil {
					t.Fatal(err)
				}
				var report migrations.Report
				done := make(chan error, 1)
				go func() {
					var err error
					report, err = postgres.Migrate(t.Context(), cfg, set)
					done <- err
				}()
				eventually(t, url, "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database()", "1")
				if _, err := other.Exec(t.Context(), "COMMIT").ReadAll(); err != nil {
					t.Fatal(err)
				}
				return report, <-done
			}
			if c.before != "" { // else it is there the second time
				report, err := overtaken(-1)
				if f := report.Failure; postgres.ExitCode(err) != migrations.ExitBusy || f.Permanent || f.SQLState != c.state || !strings.Contains(f.Hint, "run it again") {
					t.Errorf("no retries: %v", err)
				}
			}
			if report, err := overtaken(3); err != nil || report.Count != 1 {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}

// A duplicate among a table's rows does not pass.
func TestADuplicateAmongRowsIsPermanent(t *testing.T) {
	cfg := config(t, freshURL(t))
	_, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1), (1)")))
	var e *postgres.Error
	if !errors.As(err, &e) || e.Failure.Code != migrations.ExitRejected || !strings.Contains(e.Failure.Hint, "duplicate rows exist") {
		t.Errorf("%v", err)
	}
}
