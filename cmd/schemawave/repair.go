package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/migrations/postgres"
)

func newRepair(getenv func(string) string) *cobra.Command {
	l := onLedger{getenv: getenv}
	c := l.command(&cobra.Command{
		Use:   "repair --dir DIR --database NAME",
		Short: "Take over what the files say now of the migrations that are applied",
		Long: `Take over what the files say now of the migrations that are applied: their checksums, names, and the scripts that revert
them. For files that were changed on purpose and still make the schema that is there, as after reformatting. Nothing is
run, and a change of the schema belongs into a new migration.`,
		Example: `  schemawave repair --dir migrations --database orders`,
	}, func(ctx context.Context, c *cobra.Command) error {
		set, err := l.load()
		if err != nil {
			return err
		}
		repaired, err := postgres.Repair(ctx, l.Config, set)
		if err != nil {
			return err
		}
		result := struct {
			Database string              `json:"database"`
			Repaired []postgres.Repaired `json:"repaired"`
		}{l.Database, repaired}
		return l.print(c.OutOrStdout(), result, func(w io.Writer) error { return printRepaired(w, l.Database, repaired) })
	})
	return l.withLock(l.withDir(c))
}

func printRepaired(w io.Writer, database string, repaired []postgres.Repaired) error {
	if len(repaired) == 0 {
		_, err := fmt.Fprintf(w, "%s needs no repair: its ledger says what the files say\n", database)
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "VERSION\tFILE\tCHANGED IN THE LEDGER")
	for _, r := range repaired {
		file := r.File
		if file == "" {
			file = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.Version, file, strings.Join(r.What, ", "))
	}
	return table.Flush()
}
