package peers

import (
	"context"
	"database/sql"
	"errors"
	"os"

	"github.com/golang-migrate/migrate/v4"
	driver "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

// GolangMigrate migrates by golang-migrate/migrate. Its library takes no context.
func GolangMigrate(_ context.Context, url, dir string) error {
	return withGolangMigrate(url, dir, func(m *migrate.Migrate) error {
		if err := m.Up(); !errors.Is(err, migrate.ErrNoChange) {
			return err
		}
		return nil
	})
}

// RevertGolangMigrate takes back n migrations.
func RevertGolangMigrate(_ context.Context, url, dir string, n int) error {
	return withGolangMigrate(url, dir, func(m *migrate.Migrate) error { return m.Steps(-n) })
}

func withGolangMigrate(url, dir string, do func(*migrate.Migrate) error) (err error) {
	files, err := iofs.New(os.DirFS(dir), ".")
	if err != nil {
		return err
	}
	db, err := sql.Open("pgx/v5", url)
	if err != nil {
		return err
	}
	target, err := driver.WithInstance(db, &driver.Config{})
	if err != nil {
		return closing(err, "the database", db.Close)
	}
	m, err := migrate.NewWithInstance("iofs", files, "pgx5", target)
	if err != nil {
		return closing(err, "the database", target.Close)
	}
	defer func() {
		err = closing(err, "golang-migrate", func() error { return errors.Join(m.Close()) })
	}()
	return do(m)
}
