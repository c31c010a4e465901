package postgres_test

import (
	"sync"
	"testing"
	"testing/fstest"

	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// The connection's own isolation level holds for migrations, and neither the lock nor the ledger is misled by it.
func TestIsolationLevelOfTheURL(t *testing.T) {
	for _, way := range []string{"direct", "pooled"} {
		for _, level := range []string{"repeatable read", "serializable"} {
			t.Run(way+" "+level, func(t *testing.T) {
				url := freshURL(t)
				through := url
				if way == "pooled" {
					through = pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url))
				}
				cfg := config(t, through)
				cfg.Conn.RuntimeParams["default_transaction_isolation"] = level
				dir := numbered(20)
				dir["0021_seen.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE seen AS SELECT current_setting('transaction_isolation') AS level")}
				set := load(t, dir)
				var runs sync.WaitGroup
				for range 5 {
					runs.Go(func() {
						if _, err := postgres.Migrate(t.Context(), cfg, set); err != nil {
							t.Error(err)
						}
					})
				}
				runs.Wait()
				if got := query(t, url, "SELECT level, (SELECT count(*) FROM schemawave.migration) FROM seen"); got[0] != level+"|22" {
					t.Errorf("%v", got)
				}
			})
		}
	}
}

// What a migration has for a default of its own transactions is not that of the next one's.
func TestIsolationLevelOfAMigrationIsItsOwn(t *testing.T) {
	for _, way := range []string{"direct", "pooled"} {
		t.Run(way, func(t *testing.T) {
			url := freshURL(t)
			through := url
			if way == "pooled" {
				through = pooler(t, postgrestest.PoolerOptions{PoolSize: 1}).URL(databaseName(t, url))
			}
			migrate(t, config(t, through), load(t, files(
				"1_a.sql", "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
				"2_b.sql", "CREATE TABLE seen AS SELECT current_setting('transaction_isolation') AS level",
				"3_c.sql", "SET default_transaction_read_only TO on",
				"4_d.sql", "CREATE TABLE d (v int)")))
			if got := query(t, url, "SELECT level FROM seen"); got[0] != "read committed" {
				t.Errorf("%v", got)
			}
		})
	}
}
