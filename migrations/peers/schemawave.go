package peers

import (
	"context"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// Schemawave migrates by the project itself, whatever the directory's layout is.
func Schemawave(ctx context.Context, url, dir string) error {
	cfg, err := SchemawaveConfig(url)
	if err != nil {
		return err
	}
	_, err = postgres.MigrateLoading(ctx, cfg, func() (migrations.Unchecked, error) {
		return migrations.Read(migrations.Dir(dir), migrations.LayoutAuto)
	})
	return err
}

// RevertSchemawave takes back n migrations. What it needs is in the database: it does not read the directory.
func RevertSchemawave(ctx context.Context, url, _ string, n int) error {
	cfg, err := SchemawaveConfig(url)
	if err != nil {
		return err
	}
	history, err := postgres.Status(ctx, cfg)
	if err != nil {
		return err
	}
	target := migrations.Version("")
	if kept := len(history.Migrations) - n; kept > 0 {
		target = history.Migrations[kept-1].Version
	}
	_, err = postgres.Down(ctx, cfg, target)
	return err
}

// Database is the logical name of every database that Schemawave migrates here.
const Database = "shop"

// SchemawaveConfig is how Schemawave connects to the database at url, everything else at its default.
func SchemawaveConfig(url string) (postgres.Config, error) {
	conn, err := postgres.ParseConfig(func(name string) string {
		if name == "DATABASE_URL" {
			return url
		}
		return ""
	})
	return postgres.Config{Conn: conn, Database: Database}, err
}
