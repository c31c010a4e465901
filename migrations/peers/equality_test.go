package peers_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/peers"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// original is the tool that a layout belongs to.
type original struct {
	layout  migrations.Layout
	migrate func(ctx context.Context, url, dir string) error
	revert  func(ctx context.Context, url, dir string, n int) error // nil if the layout knows no way back
	history []string
	quirks  []string // files of testdata/<layout> that apply a version: what only this layout has, or its users do
}

// unversioned are Flyway's files that are no version's own.
var unversioned = regexp.MustCompile(`^[UR].*__`)

func originals(t *testing.T) []original {
	t.Helper()
	all := []original{
		{layout: migrations.LayoutPlain, migrate: plainByPsql},
		{layout: migrations.LayoutDbmate, migrate: dbmateByPsql, revert: revertByPsql(migrations.LayoutDbmate)},
		{layout: migrations.LayoutFlyway, migrate: flywayByPsql, revert: revertByPsql(migrations.LayoutFlyway)},
	}
	for _, c := range peers.Contenders() {
		if c.Layout != migrations.LayoutPlain {
			all = append(all, original{layout: c.Layout, migrate: c.Migrate, revert: c.Revert, history: c.History})
		}
	}
	for i := range all {
		files, err := filepath.Glob(filepath.Join("testdata", string(all[i].layout), "*.sql"))
		if err != nil || len(files) == 0 {
			t.Fatalf("files of layout %s: %v, %v", all[i].layout, files, err)
		}
		all[i].quirks = slices.DeleteFunc(files, func(f string) bool {
			return strings.HasSuffix(f, ".down.sql") || unversioned.MatchString(filepath.Base(f))
		})
	}
	return all
}

// shop is the history of a shop's schema, in the order in which it is applied.
func shop() []peers.Source {
	return slices.Concat(shopTables(), shopRoutines(), shopData(), shopChanges())
}

// directory writes migrations in a layout, after the quirks.
func directory(t *testing.T, o original, sources []peers.Source) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", string(o.layout)))); err != nil {
		t.Fatal(err)
	}
	if err := peers.Write(dir, o.layout, len(o.quirks)+1, sources); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A directory means to Schemawave what it means to the tool it was written for.
func TestSameSchemaAndDataAsTheOriginalTool(t *testing.T) {
	for _, o := range originals(t) {
		t.Run(string(o.layout), func(t *testing.T) {
			dir := directory(t, o, shop())
			theirs, ours := freshURL(t), freshURL(t)
			if err := o.migrate(t.Context(), theirs, dir); err != nil {
				t.Fatalf("the original: %v", err)
			}
			if err := peers.Schemawave(t.Context(), ours, dir); err != nil {
				t.Fatalf("schemawave: %v", err)
			}
			wantSchema, wantData := dump(t, theirs, o.history)
			gotSchema, gotData := dump(t, ours, nil)
			if !strings.Contains(wantSchema, "CREATE TABLE public.quirk_b") || !strings.Contains(wantSchema, "CREATE TABLE public.orders") {
				t.Errorf("the original's schema lacks tables of the quirks or of the shop:\n%s", wantSchema)
			}
			same(t, "schemas", wantSchema, gotSchema)
			same(t, "data", wantData, gotData)
			checkDowns(t, o, dir, ours)
		})
	}
}

// What is taken back is, too.
func TestSameSchemaAfterReverting(t *testing.T) {
	routines := shopRoutines()
	for _, o := range originals(t) {
		if o.revert == nil {
			continue
		}
		t.Run(string(o.layout), func(t *testing.T) {
			dir := directory(t, o, slices.Concat(shopTables(), routines))
			theirs, ours := freshURL(t), freshURL(t)
			if err := errors.Join(o.migrate(t.Context(), theirs, dir), o.revert(t.Context(), theirs, dir, len(routines))); err != nil {
				t.Fatalf("the original: %v", err)
			}
			if err := errors.Join(peers.Schemawave(t.Context(), ours, dir), peers.RevertSchemawave(t.Context(), ours, dir, len(routines))); err != nil {
				t.Fatalf("schemawave: %v", err)
			}
			want, _ := dump(t, theirs, o.history)
			got, _ := dump(t, ours, nil)
			if strings.Contains(want, "audit") || !strings.Contains(want, "CREATE TABLE public.orders") {
				t.Errorf("the original's schema is not that of the tables without the routines:\n%s", want)
			}
			same(t, "schemas", want, got)
		})
	}
}

// checkDowns compares the ledger's down scripts with the files.
func checkDowns(t *testing.T, o original, dir, url string) {
	t.Helper()
	cfg, err := peers.SchemawaveConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	history, err := postgres.Status(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	want, err := downs(o.layout, dir)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(o.quirks) + len(shop()); len(history.Migrations) != n {
		t.Errorf("the ledger has %d migrations, want %d", len(history.Migrations), n)
	}
	for _, m := range history.Migrations {
		if m.Down != want[string(m.Version)] {
			t.Errorf("version %s: the ledger's down script is\n%s\nwant\n%s", m.Version, m.Down, want[string(m.Version)])
		}
		delete(want, string(m.Version))
	}
	for v := range want {
		t.Errorf("version %s has a down script, but is not in the ledger", v)
	}
}
