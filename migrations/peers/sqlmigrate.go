package peers

import (
	"context"
	"database/sql"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	migrate "github.com/rubenv/sql-migrate"
)

// SQLMigrate migrates by rubenv/sql-migrate. It takes no lock.
func SQLMigrate(ctx context.Context, url, dir string) error {
	return sqlMigrateMax(ctx, url, dir, migrate.Up, 0)
}

// RevertSQLMigrate takes back n migrations.
func RevertSQLMigrate(ctx context.Context, url, dir string, n int) error {
	return sqlMigrateMax(ctx, url, dir, migrate.Down, n)
}

// sqlMigrateMax goes in a direction by at most n migrations; 0 is no limit.
func sqlMigrateMax(ctx context.Context, url, dir string, direction migrate.MigrationDirection, n int) (err error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, "the database", db.Close) }()
	_, err = migrate.ExecMaxContext(ctx, db, "postgres", &migrate.FileMigrationSource{Dir: dir}, direction, n)
	return err
}
