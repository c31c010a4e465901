package peers

import (
	"context"
	"database/sql"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
)

// Goose migrates by pressly/goose's Provider. By default it takes no lock.
func Goose(ctx context.Context, url, dir string) error {
	return withGoose(url, dir, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

// RevertGoose takes back n migrations.
func RevertGoose(ctx context.Context, url, dir string, n int) error {
	return withGoose(url, dir, func(p *goose.Provider) error {
		for range n {
			if _, err := p.Down(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func withGoose(url, dir string, do func(*goose.Provider) error) (err error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, "the database", db.Close) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS(dir))
	if err != nil {
		return err
	}
	return do(provider)
}
