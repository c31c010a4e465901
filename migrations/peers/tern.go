package peers

import (
	"context"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

// Tern migrates by jackc/tern.
func Tern(ctx context.Context, url, dir string) error {
	return withTern(ctx, url, dir, func(m *migrate.Migrator) error { return m.Migrate(ctx) })
}

// RevertTern takes back n migrations.
func RevertTern(ctx context.Context, url, dir string, n int) error {
	return withTern(ctx, url, dir, func(m *migrate.Migrator) error {
		version, err := m.GetCurrentVersion(ctx)
		if err != nil {
			return err
		}
		return m.MigrateTo(ctx, version-int32(n))
	})
}

func withTern(ctx context.Context, url, dir string, do func(*migrate.Migrator) error) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, "the connection", func() error { return conn.Close(ctx) }) }()
	m, err := migrate.NewMigrator(ctx, conn, "public.schema_version")
	if err != nil {
		return err
	}
	if err := m.LoadMigrations(os.DirFS(dir)); err != nil {
		return err
	}
	return do(m)
}
