// Package peers runs directories of migrations by Schemawave, by other tools for Go and by psql, so that tests can compare
// the schemas that come out and a benchmark the time it takes. It is a module of its own: what the other tools depend on
// stays out of the project.
//
// The tools are used as their own documentation shows, with their defaults. Of all of them the directory is read from disk
// and the connection is made within the call.
package peers

import (
	"context"
	"errors"
	"fmt"

	"github.com/schemawave/schemawave/migrations"
)

// Contender is a way to bring a database up to a directory of migrations.
type Contender struct {
	Name   string
	Layout migrations.Layout // that it reads; LayoutPlain where any order of names will do

	// Migrate applies what is pending. A second call finds nothing to do, unless Forgetful.
	Migrate func(ctx context.Context, url, dir string) error

	// Revert takes back the n migrations applied last; nil where there is no such thing.
	Revert func(ctx context.Context, url, dir string, n int) error

	Forgetful bool     // keeps no history
	History   []string // patterns of the tables and schemas it keeps its own records in, as pg_dump takes them
}

// Ours is the name by which Schemawave appears among the contenders.
const Ours = "schemawave"

// Contenders lists Schemawave, the libraries and psql.
func Contenders() []Contender {
	return []Contender{
		{Name: Ours, Layout: migrations.LayoutPlain, Migrate: Schemawave, Revert: RevertSchemawave, History: []string{"schemawave.*"}},
		{Name: "golang-migrate", Layout: migrations.LayoutGolangMigrate, Migrate: GolangMigrate, Revert: RevertGolangMigrate, History: []string{"public.schema_migrations"}},
		{Name: "goose", Layout: migrations.LayoutGoose, Migrate: Goose, Revert: RevertGoose, History: []string{"public.goose_db_version*"}},
		{Name: "tern", Layout: migrations.LayoutTern, Migrate: Tern, Revert: RevertTern, History: []string{"public.schema_version"}},
		{Name: "sql-migrate", Layout: migrations.LayoutSQLMigrate, Migrate: SQLMigrate, Revert: RevertSQLMigrate, History: []string{"public.gorp_migrations"}},
		{Name: "psql -1", Layout: migrations.LayoutPlain, Migrate: PsqlAtOnce, Forgetful: true},
	}
}

// closing joins an error with that of closing what was used.
func closing(err error, what string, close func() error) error {
	if closeErr := close(); closeErr != nil {
		return errors.Join(err, fmt.Errorf("close %s: %w", what, closeErr))
	}
	return err
}
