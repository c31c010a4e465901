package peers_test

import (
	"os"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/peers"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// What another tool has applied is adopted, and nothing of it is applied again; what came later is.
func TestImport(t *testing.T) {
	sources := []peers.Source{
		{Name: "items", Up: []string{"CREATE TABLE items (id int)"}, Down: []string{"DROP TABLE items"}},
		{Name: "names", Up: []string{"ALTER TABLE items ADD COLUMN name text"}, Down: []string{"ALTER TABLE items DROP COLUMN name"}},
		{Name: "index", Up: []string{"CREATE INDEX CONCURRENTLY items_by_name ON items (name)"}, NoTransaction: true},
	}
	later := []peers.Source{{Name: "prices", Up: []string{"ALTER TABLE items ADD COLUMN price int"}}}
	for _, c := range peers.Contenders() {
		if c.Layout == migrations.LayoutPlain {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			url, dir := freshURL(t), t.TempDir()
			if err := peers.Write(dir, c.Layout, 1, sources); err != nil {
				t.Fatal(err)
			}
			if err := c.Migrate(t.Context(), url, dir); err != nil {
				t.Fatal(err)
			}
			cfg, err := peers.SchemawaveConfig(url)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := postgres.Import(t.Context(), cfg, load(t, dir), ""); err != nil || string(got.Tool) != c.Name || len(got.Versions) != len(sources) {
				t.Fatalf("%+v, %v", got, err)
			}
			if report, err := postgres.Migrate(t.Context(), cfg, load(t, dir)); err != nil || report.Outcome != migrations.OutcomeCurrent {
				t.Fatalf("%+v, %v", report, err)
			}
			if err := peers.Write(dir, c.Layout, 1+len(sources), later); err != nil {
				t.Fatal(err)
			}
			if report, err := postgres.Migrate(t.Context(), cfg, load(t, dir)); err != nil || report.Count != 1 {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}

func load(t *testing.T, dir string) migrations.Set {
	t.Helper()
	set, err := migrations.Load(os.DirFS(dir), migrations.LayoutAuto)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
