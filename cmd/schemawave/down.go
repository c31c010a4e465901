package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// nothing is the target that takes everything back, as migrate says "went from nothing to".
const nothing = "nothing"

type down struct {
	onLedger
	to     string
	target migrations.Version
	yes    bool
}

func newDown(getenv func(string) string) *cobra.Command {
	d := down{onLedger: onLedger{getenv: getenv}}
	c := d.command(&cobra.Command{
		Use:   "down --database NAME --to VERSION",
		Short: "Take migrations back, down to a version",
		Long: `Take back what was applied after a version, last applied first, with the down scripts that the ledger has stored: no
files are needed. Each script and the deletion of its row are one transaction. Nothing is run if one of the migrations
has no down script.

Down scripts delete data. It asks before it begins; where nobody can be asked, --yes is the answer.

With --tenant or --tenants it is the schemas of tenants that go back. One that fails holds up no other.`,
		Example: `  schemawave down --database orders --to 20260101000000
  schemawave down --database orders --to nothing --yes
  schemawave down --database orders --to 20260101000000 --tenant shop17 --tenant shop18`,
	}, d.run)
	f := c.Flags()
	f.StringVar(&d.to, "to", "", "the version to stay at, or nothing (required)")
	f.BoolVarP(&d.yes, "yes", "y", false, "do not ask")
	f.DurationVar(&d.LockTimeout, "lock-timeout", postgres.DefaultLockTimeout, "how long a statement waits for a lock before it is tried again; 0 without limit")
	f.DurationVar(&d.StatementTimeout, "statement-timeout", 0, "how long a statement may run; 0 without limit")
	return d.withTenants(d.withLock(c))
}

func (d *down) run(ctx context.Context, c *cobra.Command) error {
	if d.to == "" {
		return cli.Usage("--to is required: the version to stay at, or %s", nothing)
	}
	if d.to != nothing {
		v, err := migrations.ParseVersion(d.to)
		if err != nil {
			return cli.Usage("--to: %w", err)
		}
		d.target = v
	}
	d.LockTimeout = cmp.Or(d.LockTimeout, postgres.NoLimit)
	if err := d.connection(); err != nil {
		return err
	}
	if !d.yes {
		if err := d.ask(ctx, c.InOrStdin(), c.ErrOrStderr()); err != nil {
			return err
		}
	}
	if d.several() {
		return toEach(ctx, c, &d.onLedger, d.goDown)
	}
	result, err := d.goDown(ctx, d.Config)
	if err != nil && len(result.Versions) == 0 {
		return err
	}
	return errors.Join(err, d.onLedger.print(c.OutOrStdout(), result, result.print))
}

func (d *down) goDown(ctx context.Context, cfg postgres.Config) (reverted, error) {
	went, err := postgres.Down(ctx, cfg, d.target)
	went.Versions = listed(went.Versions)
	return reverted{subjectOf(cfg, err), went}, err
}

// reverted is what the command prints as JSON.
type reverted struct {
	subject
	postgres.Reverted
}

// ask shows what would be taken back and wants a yes from a terminal.
func (d *down) ask(ctx context.Context, in io.Reader, out io.Writer) error {
	if !isTerminal(in) {
		return cli.Usage("nobody can be asked here: --yes is required")
	}
	back, err := d.back(ctx)
	if err != nil || len(back) == 0 {
		return err
	}
	fmt.Fprintf(out, "This takes back, on %s at %s, with all data that it holds:\n%sGo on? [y/N] ", d.Conn.Database, d.Conn.Host, strings.Join(back, ""))
	answer, err := bufio.NewReader(in).ReadString('\n')
	if word := strings.ToLower(strings.TrimSpace(answer)); err != nil || word != "y" && word != "yes" {
		return cli.Usage("stopped: nothing was taken back")
	}
	return nil
}

// back lists what would be taken back, a line for each migration of each tenant.
func (d *down) back(ctx context.Context) ([]string, error) {
	var lines []string
	list := func(of string, history postgres.History) {
		for _, r := range slices.Backward(history.Migrations) {
			if r.Version.Compare(d.target) > 0 {
				lines = append(lines, fmt.Sprintf("  %s%s %s\n", of, r.Version, r.Name))
			}
		}
	}
	if !d.several() {
		history, err := postgres.Status(ctx, d.Config)
		list("", history)
		return lines, err
	}
	each, err := postgres.EachTenant(ctx, d.Config, d.tenants, postgres.Status)
	for _, one := range each {
		list(one.Tenant+" ", one.Result)
	}
	return lines, err
}

// isTerminal reports whether a person may be at the other end.
func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (r reverted) print(w io.Writer) error {
	name := func(v migrations.Version) string {
		if v == "" {
			return nothing
		}
		return "version " + string(v)
	}
	if r.Failure != nil && len(r.Versions) == 0 {
		return nil
	}
	if len(r.Versions) == 0 {
		_, err := fmt.Fprintf(w, "%s is at %s: there is nothing to take back\n", r, name(r.To))
		return err
	}
	_, err := fmt.Fprintf(w, "%s went down from version %s to %s: %s taken back\n", r, r.From, name(r.To), counted(len(r.Versions), "migration", "migrations"))
	return err
}
