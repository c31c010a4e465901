package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/migrations/postgres"
)

func newImport(getenv func(string) string) *cobra.Command {
	l := onLedger{getenv: getenv}
	var tool string
	c := l.command(&cobra.Command{
		Use:   "import --dir DIR --database NAME",
		Short: "Adopt the history that another tool has left in the database",
		Long: fmt.Sprintf(`Adopt the history that another tool has left in the database, one of %v: its table is read, and
everything it says is applied is recorded in the ledger, in one transaction. What the files say now is taken for what was
applied. The other tool's table stays as it is.

It is refused if a migration was left half applied, if versions have no file, if a migration would come late, and if the
ledger has another history already.

With --tenant or --tenants it is the history in each tenant's own schema. One that is refused holds up no other.`, postgres.Tools()),
		Example: `  schemawave import --dir migrations --database orders
  schemawave import --dir migrations --database orders --tool flyway
  schemawave import --dir migrations --database orders --tenants 'SELECT schema_name FROM public.shops'`,
	}, func(ctx context.Context, c *cobra.Command) error {
		set, err := l.load()
		if err != nil {
			return err
		}
		return carryOut(ctx, c, &l, func(ctx context.Context, cfg postgres.Config) (imported, error) {
			adopted, err := postgres.Import(ctx, cfg, set, postgres.Tool(tool))
			if err != nil {
				return imported{subject: subjectOf(cfg, err)}, err
			}
			adopted.Versions = listed(adopted.Versions)
			return imported{subjectOf(cfg, nil), &adopted}, nil
		})
	})
	c.Flags().StringVar(&tool, "tool", "", "whose history; found out if there is only one")
	return l.withTenants(l.withLock(l.withOutOfOrder(l.withDir(c))))
}

// imported is what the command prints as JSON.
type imported struct {
	subject
	*postgres.Adoption // nil if it failed
}

func (a imported) print(w io.Writer) error {
	if a.Adoption == nil {
		return nil
	}
	what := counted(len(a.Versions), "migration", "migrations")
	if n := len(a.Repeatable); n > 0 {
		what += " and " + counted(n, "repeatable one", "repeatable ones")
	}
	_, err := fmt.Fprintf(w, "%s has adopted %s of %s from %s\n", a, what, a.Tool, a.Table)
	return err
}
