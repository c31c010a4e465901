package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

func newBaseline(getenv func(string) string) *cobra.Command {
	l := onLedger{getenv: getenv}
	var to string
	c := l.command(&cobra.Command{
		Use:   "baseline --dir DIR --database NAME --to VERSION",
		Short: "Record migrations as applied without running them",
		Long: `Record all migrations up to a version as applied, without running any: for a schema that was made by hand, or restored
from a dump, and is at that version. A ledger that has a history is refused. Where another tool has kept a history,
schemawave import takes that over instead.`,
		Example: `  schemawave baseline --dir migrations --database orders --to 20260101000000
  schemawave baseline --dir migrations --database orders --to latest`,
	}, func(ctx context.Context, c *cobra.Command) error {
		if to == "" {
			return cli.Usage("--to is required: the version that the schema is at, or latest")
		}
		set, err := l.load()
		if err != nil {
			return err
		}
		versions, err := postgres.Baseline(ctx, l.Config, set, to)
		if err != nil {
			return err
		}
		result := struct {
			Database string               `json:"database"`
			Versions []migrations.Version `json:"versions"`
		}{l.Database, versions}
		return l.print(c.OutOrStdout(), result, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s is at version %s: %s recorded as applied, and not run\n", l.Database, versions[len(versions)-1],
				counted(len(versions), "migration", "migrations"))
			return err
		})
	})
	c.Flags().StringVar(&to, "to", "", "the version that the schema is at, or latest (required)")
	return l.withLock(l.withDir(c))
}
