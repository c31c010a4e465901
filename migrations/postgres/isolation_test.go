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
