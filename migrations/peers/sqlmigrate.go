package peers

import (
	"context"
	"database/sql"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	migrate "github.com/rubenv/sql-migrate"
)

// SQLMigrate migrates by rubenv/sql-migrate. It takes no lock.
func SQLMigrate(ctx context.Context, url, dir string) (err error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, "the database", db.Close) }()
	_, err = migrate.ExecContext(ctx, db, "postgres", &migrate.FileMigrationSource{Dir: dir}, migrate.Up)
	return err
}
