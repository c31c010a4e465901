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
from a dump, and is at that version. A ledger that has another history is refused. Where another tool has kept a history,
schemawave import takes that over instead.

With --tenant or --tenants it is the schemas of tenants that are at that version. One that is refused holds up no other.`,
		Example: `  schemawave baseline --dir migrations --database orders --to 20260101000000
  schemawave baseline --dir migrations --database orders --to latest
  schemawave baseline --dir migrations --database orders --to latest --tenants 'SELECT schema_name FROM public.shops'`,
	}, func(ctx context.Context, c *cobra.Command) error {
		if to == "" {
			return cli.Usage("--to is required: the version that the schema is at, or latest")
		}
		set, err := l.load()
		if err != nil {
			return err
		}
		return carryOut(ctx, c, &l, func(ctx context.Context, cfg postgres.Config) (baselined, error) {
			versions, err := postgres.Baseline(ctx, cfg, set, to)
			return baselined{subjectOf(cfg, err), versions}, err
		})
	})
	c.Flags().StringVar(&to, "to", "", "the version that the schema is at, or latest (required)")
	return l.withTenants(l.withLock(l.withDir(c)))
}

// baselined is what the command prints as JSON.
type baselined struct {
	subject
	Versions []migrations.Version `json:"versions,omitempty"`
}

func (b baselined) print(w io.Writer) error {
	if len(b.Versions) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s is at version %s: %s recorded as applied, and not run\n", b, b.Versions[len(b.Versions)-1],
		counted(len(b.Versions), "migration", "migrations"))
	return err
}
