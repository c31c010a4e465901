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
run, and a change of the schema belongs into a new migration.

With --tenant or --tenants it is the histories of tenants. One that fails holds up no other.`,
		Example: `  schemawave repair --dir migrations --database orders
  schemawave repair --dir migrations --database orders --tenants 'SELECT schema_name FROM public.shops'`,
	}, func(ctx context.Context, c *cobra.Command) error {
		set, err := l.load()
		if err != nil {
			return err
		}
		return carryOut(ctx, c, &l, func(ctx context.Context, cfg postgres.Config) (repaired, error) {
			rows, err := postgres.Repair(ctx, cfg, set)
			return repaired{subjectOf(cfg, err), listed(rows)}, err
		})
	})
	return l.withTenants(l.withLock(l.withDir(c)))
}

// repaired is what the command prints as JSON.
type repaired struct {
	subject
	Repaired []postgres.Repaired `json:"repaired"`
}

func (p repaired) print(w io.Writer) error {
	switch {
	case p.Failure != nil:
		return nil
	case len(p.Repaired) == 0:
		_, err := fmt.Fprintf(w, "%s needs no repair: its ledger says what the files say\n", p)
		return err
	case p.Tenant != "":
		fmt.Fprintf(w, "%s:\n", p)
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "VERSION\tFILE\tCHANGED IN THE LEDGER")
	for _, r := range p.Repaired {
		file := r.File
		if file == "" {
			file = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.Version, file, strings.Join(r.What, ", "))
	}
	return table.Flush()
}
