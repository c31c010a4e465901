package postgres_test

import (
	"errors"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

func TestPreview(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	set := load(t, numbered(4))
	if p, err := postgres.PreviewMigrate(t.Context(), cfg, set); err != nil || len(p.Pending) != 4 || p.From != "" {
		t.Errorf("a fresh database: %+v, %v", p, err)
	}
	if got := query(t, url, "SELECT to_regnamespace('schemawave') IS NULL"); got[0] != "t" {
		t.Error("a ledger was made")
	}
	upto, err := set.Upto("2")
	if err != nil {
		t.Fatal(err)
	}
	migrate(t, cfg, upto)
	cfg.Target = "3"
	if p, err := postgres.PreviewMigrate(t.Context(), cfg, set); err != nil || len(p.Pending) != 1 || p.Pending[0].Version != "3" || p.From != "2" {
		t.Errorf("%+v, %v", p, err)
	}
	cfg.Target = "9"
	if _, err := postgres.PreviewMigrate(t.Context(), cfg, set); postgres.ExitCode(err) != migrations.ExitConfig {
		t.Errorf("no such target: %v", err)
	}
	cfg.Target = ""
	dir := numbered(4)
	dir["0001_t1.sql"].Data = []byte("SELECT 1")
	_, err = postgres.PreviewMigrate(t.Context(), cfg, load(t, dir))
	if edited := (*migrations.EditedError)(nil); !errors.As(err, &edited) {
		t.Errorf("an edited file: %v", err)
	}
}

func TestPreviewOfAHalfAppliedFile(t *testing.T) {
	cfg := config(t, freshURL(t))
	set := load(t, files("1_a.sql", "CREATE TABLE a (id int)", "2_b.sql", "-- schemawave: no-transaction\nVACUUM a;\nSELECT no_such_function();"))
	if _, err := postgres.Migrate(t.Context(), cfg, set); err == nil {
		t.Fatal("no error")
	}
	if p, err := postgres.PreviewMigrate(t.Context(), cfg, set); err != nil || len(p.Pending) != 1 || len(p.Unfinished) != 1 || p.Unfinished[0] != "2" {
		t.Errorf("%+v, %v", p, err)
	}
}
