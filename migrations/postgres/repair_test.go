package postgres_test

import (
	"reflect"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

func TestRepair(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	one, three := "CREATE TABLE a (id int);", "CREATE TABLE c (id int);"
	migrate(t, cfg, load(t, files("1_a.up.sql", one, "2_b.up.sql", "CREATE TABLE b (id int);", "2_b.down.sql", "DROP TABLE bb", "3_c.up.sql", three)))
	changed := load(t, files("1_a.up.sql", one, "2_better.up.sql", "-- schemawave: min-compatible 1\nCREATE TABLE b (id int); -- reformatted", "2_better.down.sql", "DROP TABLE b",
		"3_c.up.sql", three))
	if _, err := postgres.Migrate(t.Context(), cfg, changed); postgres.ExitCode(err) != migrations.ExitRejected {
		t.Fatalf("an edited file: %v", err)
	}
	want := []postgres.Repaired{{Version: "2", File: "2_better.up.sql", What: []string{"checksum", "name", "min_compatible", "down"}}}
	if got, err := postgres.Repair(t.Context(), cfg, changed); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	history, err := postgres.Status(t.Context(), cfg)
	if m := history.Migrations[1]; err != nil || m.Name != "better" || m.MinCompatible != "1" || m.Down != "DROP TABLE b" || m.Checksum != changed.Migrations[1].Checksum {
		t.Errorf("%+v, %v", m, err)
	}
	isOneQuery(t, cfg, changed)
	if got, err := postgres.Repair(t.Context(), cfg, changed); err != nil || len(got) != 0 {
		t.Errorf("again: %+v, %v", got, err)
	}
}

// Files that are gone leave their rows as they are; digests of a history whose checksums were not known are made good.
func TestRepairKeepsWhatHasNoFile(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	set := load(t, numbered(3))
	migrate(t, cfg, set)
	query(t, url, "UPDATE schemawave.migration SET checksum = '' WHERE version = '2'; UPDATE schemawave.migration SET digest = '' WHERE version > '1'")
	without := set
	without.Migrations = set.Migrations[2:]
	if got, err := postgres.Repair(t.Context(), cfg, without); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	want := []postgres.Repaired{{Version: "2", File: "0002_t2.sql", What: []string{"checksum"}}}
	if got, err := postgres.Repair(t.Context(), cfg, set); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	isOneQuery(t, cfg, set)
	query(t, url, "UPDATE schemawave.migration SET digest = 'sha256:wrong' WHERE version = '3'")
	want = []postgres.Repaired{{Version: "3", File: "0003_t3.sql", What: []string{"digest"}}}
	if got, err := postgres.Repair(t.Context(), cfg, set); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRepairWithoutALedger(t *testing.T) {
	url := freshURL(t)
	if got, err := postgres.Repair(t.Context(), config(t, url), load(t, numbered(1))); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if got := query(t, url, "SELECT to_regnamespace('schemawave') IS NULL"); got[0] != "t" {
		t.Error("a ledger was made")
	}
}
