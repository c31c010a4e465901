package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/migrationstest"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// TestConformance holds this package to the rules for every runner, on each way to the server.
func TestConformance(t *testing.T) {
	for name, url := range map[string]func(database string) string{
		"direct": server.URL,
		"pooler": pooler(t, postgrestest.PoolerOptions{}).URL,
	} {
		t.Run(name, func(t *testing.T) {
			migrationstest.Run(t, func(t *testing.T) migrationstest.Database {
				direct := freshURL(t)
				return conforming{config: config(t, url(databaseName(t, direct))), url: direct}
			})
		})
	}
}

// conforming is this package as the rules see it: migrated through config, looked at through url.
type conforming struct {
	config postgres.Config
	url    string
}

func (c conforming) Migrate(ctx context.Context, set migrations.Set, opts migrationstest.Options) (migrations.Report, error) {
	cfg := c.config
	cfg.Target, cfg.OutOfOrder = opts.Target, opts.OutOfOrder
	return postgres.Migrate(ctx, cfg, set)
}

func (c conforming) History(ctx context.Context) (applied []migrations.Applied, digest string, err error) {
	history, err := postgres.Status(ctx, c.config)
	for _, m := range history.Migrations {
		applied, digest = append(applied, m.Applied), m.Digest
	}
	for _, m := range history.Repeatable {
		applied = append(applied, m.Applied)
	}
	return applied, digest, err
}

func (c conforming) Query(ctx context.Context, sql string) ([]string, error) {
	conn, err := pgconn.Connect(ctx, c.url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	var column []string
	for _, row := range results[len(results)-1].Rows {
		column = append(column, string(row[0]))
	}
	return column, nil
}
