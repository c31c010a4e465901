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
ledger has a history already.`, postgres.Tools()),
		Example: `  schemawave import --dir migrations --database orders
  schemawave import --dir migrations --database orders --tool flyway`,
	}, func(ctx context.Context, c *cobra.Command) error {
		set, err := l.load()
		if err != nil {
			return err
		}
		adopted, err := postgres.Import(ctx, l.Config, set, postgres.Tool(tool))
		if err != nil {
			return err
		}
		result := struct {
			Database string `json:"database"`
			postgres.Adoption
		}{l.Database, adopted}
		return l.print(c.OutOrStdout(), result, func(w io.Writer) error { return printAdoption(w, l.Database, adopted) })
	})
	c.Flags().StringVar(&tool, "tool", "", "whose history; found out if there is only one")
	return l.withLock(l.withOutOfOrder(l.withDir(c)))
}

func printAdoption(w io.Writer, database string, a postgres.Adoption) error {
	what := counted(len(a.Versions), "migration", "migrations")
	if n := len(a.Repeatable); n > 0 {
		what += " and " + counted(n, "repeatable one", "repeatable ones")
	}
	_, err := fmt.Fprintf(w, "%s has adopted %s of %s from %s\n", database, what, a.Tool, a.Table)
	return err
}
