package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// onLedger is the command line of the commands that look at a database's ledger, or change it without migrating.
type onLedger struct {
	postgres.Config
	dir, layout string
	output      string
	tenants     postgres.Tenants // empty where it is about the database itself
	getenv      func(string) string
}

// ledgerExits is how their help texts end.
const ledgerExits = `

Exit codes: 0 done · 65 refused: the history or a migration does not allow it · 69 the database cannot be reached ·
75 busy, try again · 77 permission denied · 78 wrong configuration · 64 wrong usage.

Environment: DATABASE_URL, or libpq's PG* variables.`

// command makes a command with the flags that all of them have; do is called with the connection settings in place.
func (l *onLedger) command(c *cobra.Command, do func(ctx context.Context, c *cobra.Command) error) *cobra.Command {
	c.Args, c.Long = cobra.NoArgs, c.Long+ledgerExits
	c.RunE = cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
		if err := l.check(c); err != nil {
			return err
		}
		return do(ctx, c)
	})
	f := c.Flags()
	f.StringVar(&l.Database, "database", "", "logical name of the database; its ledger refuses any other (required)")
	f.StringVar(&l.LedgerSchema, "ledger-schema", postgres.DefaultLedgerSchema, "schema that holds the ledger")
	f.StringVarP(&l.output, "output", "o", "text", "what to print: text or json")
	return c
}

// withDir adds the flags of the commands that read migrations.
func (l *onLedger) withDir(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&l.dir, "dir", "", "directory of SQL files (required)")
	c.Flags().StringVar(&l.layout, "layout", string(migrations.LayoutAuto), fmt.Sprintf("how files are named and divided, one of %v", migrations.Layouts()))
	return c
}

// withLock adds the flags of the commands that take the migration lock.
func (l *onLedger) withLock(c *cobra.Command) *cobra.Command {
	c.Flags().DurationVar(&l.Deadline, "deadline", 5*time.Minute, "how long it may take in all, waiting for other runs included; 0 without limit")
	return c
}

// withOutOfOrder adds the policy for migrations that come late.
func (l *onLedger) withOutOfOrder(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar((*string)(&l.OutOfOrder), "out-of-order", string(migrations.OutOfOrderRefuse), "a migration older than what is applied: refuse, apply or skip it")
	return c
}

// check finds what is wrong with the command line, and reads the environment.
func (l *onLedger) check(c *cobra.Command) (err error) {
	if l.Database == "" {
		return cli.Usage("--database is required")
	}
	if c.Flags().Lookup("dir") != nil && l.dir == "" {
		return cli.Usage("--dir is required")
	}
	if l.output != "text" && l.output != "json" {
		return cli.Usage("--output %q: want text or json", l.output)
	}
	if _, err := migrations.ParseLayout(l.layout); err != nil {
		return cli.Usage("--layout: %w", err)
	}
	if err := l.checkTenants(c); err != nil {
		return err
	}
	l.Job, l.Pod, l.ToolVersion = l.getenv("SCHEMAWAVE_JOB"), l.getenv("SCHEMAWAVE_POD"), cli.Version
	l.Logger, err = cli.Logger(c.ErrOrStderr(), "text", false)
	return err
}

// connection reads the connection settings.
func (l *onLedger) connection() (err error) {
	l.Conn, err = postgres.ParseConfig(l.getenv)
	return err
}

// load reads the directory and the connection settings: what is wrong with either is said before the database is asked.
func (l *onLedger) load() (migrations.Set, error) {
	set, err := l.files()
	if err != nil {
		return set, err
	}
	return set, l.connection()
}

// files reads the directory alone.
func (l *onLedger) files() (migrations.Set, error) {
	return migrations.Load(os.DirFS(l.dir), migrations.Layout(l.layout))
}

// print prints a result: as JSON if that was asked for, else by text.
func (l *onLedger) print(w io.Writer, result any, text func(io.Writer) error) error {
	if l.output == "json" {
		return json.NewEncoder(w).Encode(result)
	}
	return text(w)
}

// listed is a list that JSON has as [] where it is empty, and not as null.
func listed[T any](list []T) []T { return append([]T{}, list...) }

// stamp is how times are printed.
const stamp = "2006-01-02 15:04:05Z"

// counted is a number of things.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
