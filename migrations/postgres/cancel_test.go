package postgres_test

import (
	"context"
	"testing"

	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// A request to cancel that meets the server between two migrations, while it cleans the session of what the first has left in it,
// must not let the second begin in a session that is not clean.
func TestCancellationBetweenMigrationsLeavesNothingOfTheFirst(t *testing.T) {
	for _, way := range []string{"direct", "pooled"} {
		t.Run(way, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			if way == "pooled" {
				cfg = config(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url)))
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			set := load(t, files(
				"1_a.sql", "DO $$ BEGIN FOR i IN 1..2000 LOOP EXECUTE format('CREATE TEMP TABLE left%s (a int)', i); END LOOP; END $$",
				"2_b.sql", "CREATE TABLE b AS SELECT to_regclass('left1') IS NULL AS clean"))
			done := make(chan struct{})
			go func() {
				defer close(done)
				for query(t, url, "SELECT to_regclass('schemawave.migration') IS NOT NULL")[0] != "t" {
				}
				for len(query(t, url, "SELECT FROM schemawave.migration WHERE version = '1'")) == 0 {
				}
				cancel()
			}()
			report, err := postgres.Migrate(ctx, cfg, set)
			<-done
			if recorded := recorded(t, cfg); err != nil && len(recorded) != report.Count {
				t.Errorf("recorded: %v; the report: %+v", recorded, report)
			}
			migrate(t, cfg, set)
			if got := query(t, url, "SELECT clean FROM b"); got[0] != "t" {
				t.Error("the second saw what the first had left")
			}
		})
	}
}
