package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

func TestNothingToDoIsOneConnectionAndOneQuery(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	set := load(t, numbered(300))
	migrate(t, cfg, set)
	before := query(t, url, "SELECT pg_current_wal_insert_lsn(), (SELECT count(*) FROM schemawave.run)")

	w := &wire{}
	w.tap(&cfg)
	report := migrate(t, cfg, set)
	dials, flights, queries := w.counts()
	if report.Outcome != migrations.OutcomeCurrent || report.From != "300" || report.To != "300" {
		t.Errorf("report: %+v", report)
	}
	if dials != 1 || queries != 1 || flights > 3 { // start-up, the query, the goodbye
		t.Errorf("%d connections, %d queries, %d flights", dials, queries, flights)
	}
	if after := query(t, url, "SELECT pg_current_wal_insert_lsn(), (SELECT count(*) FROM schemawave.run)"); strings.Split(after[0], "|")[1] != strings.Split(before[0], "|")[1] {
		t.Errorf("a run was recorded: %v, before %v", after, before)
	}
}

// The cost of a thousand migrations must not grow with the distance to the server.
func TestAThousandMigrationsTakeFewRoundTrips(t *testing.T) {
	cfg := config(t, freshURL(t))
	w := &wire{delay: 5 * time.Millisecond}
	w.tap(&cfg)
	report := migrate(t, cfg, load(t, numbered(1000)))
	dials, flights, queries := w.counts()
	if report.Count != 1000 || dials != 1 {
		t.Errorf("%d applied on %d connections", report.Count, dials)
	}
	if flights > 30 || queries < 1000 {
		t.Errorf("%d flights for %d queries", flights, queries)
	}
	t.Logf("%d flights, %d queries, %v", flights, queries, report.Finished.Sub(report.Started))
}
