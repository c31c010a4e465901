package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// plan is what the command prints as JSON.
type plan struct {
	subject
	From       migrations.Version   `json:"from,omitempty"` // newest applied version
	Pending    []plannedMigration   `json:"pending"`        // in the order in which they would run
	Skipped    []migrations.Version `json:"skipped,omitempty"`
	Ahead      []migrations.Version `json:"ahead,omitempty"`      // applied, and newer than all files
	Unfinished []string             `json:"unfinished,omitempty"` // pending ones that are half applied
}

type plannedMigration struct {
	Version     migrations.Version `json:"version,omitempty"` // empty for a repeatable one
	Name        string             `json:"name"`
	File        string             `json:"file"`
	Transaction bool               `json:"transaction"` // one for all statements; else each is on its own
	Statements  []plannedStatement `json:"statements"`
}

type plannedStatement struct {
	Line      int           `json:"line"`
	Statement string        `json:"statement"` // without literals, cut when long
	Locks     []plannedLock `json:"locks,omitempty"`
	Unseen    string        `json:"unseen,omitempty"` // what else it may lock
}

type plannedLock struct {
	Table  string              `json:"table,omitempty"`
	Index  string              `json:"index,omitempty"` // whose table it is
	Mode   migrations.LockMode `json:"mode"`
	Blocks string              `json:"blocks,omitempty"`
	New    bool                `json:"new,omitempty"`
}

func newPlan(getenv func(string) string) *cobra.Command {
	l := onLedger{getenv: getenv}
	var offline bool
	c := l.command(&cobra.Command{
		Use:   "plan --dir DIR --database NAME",
		Short: "Show what migrate would run, in which transactions and with which locks",
		Long: `Show what migrate would run: the pending migrations, which of their statements share a transaction, and which tables
each statement locks against whom. Nothing is written or locked. It ends as migrate would if the history or a file is
wrong.

With --tenant it is what would run for one tenant. With several, or --tenants, it is a line for each, those that are behind
first: the version it is at, how many migrations are pending, and how its last run failed, if it did.

Locks are told from the statements' text: what triggers, functions and DO blocks lock besides is not seen.`,
		Example: `  schemawave plan --dir migrations --database orders
  schemawave plan --dir migrations --database orders --offline
  schemawave plan --dir migrations --database orders --tenants 'SELECT schema_name FROM public.shops'`,
	}, func(ctx context.Context, c *cobra.Command) error {
		if offline && (l.several() || l.Tenant != "") {
			return cli.Usage("--offline asks no database, which knows the tenants: leave one of them out")
		}
		if l.several() {
			return l.planTenants(ctx, c.OutOrStdout())
		}
		p, err := l.plan(ctx, offline)
		if err != nil {
			return err
		}
		return l.print(c.OutOrStdout(), p, p.print)
	})
	c.Flags().StringVar(&l.Target, "target", "latest", "plan up to this version")
	c.Flags().BoolVar(&offline, "offline", false, "plan for an empty database, without asking any")
	return l.withTenants(l.withOutOfOrder(l.withDir(c)))
}

func (l *onLedger) plan(ctx context.Context, offline bool) (plan, error) {
	preview, err := l.preview(ctx, offline)
	if err != nil {
		return plan{}, err
	}
	steps, err := preview.Steps()
	if err != nil {
		return plan{}, err
	}
	p := plan{subject: subjectOf(l.Config, nil), From: preview.From, Pending: []plannedMigration{}, Ahead: preview.Ahead, Unfinished: preview.Unfinished}
	for _, s := range steps {
		p.Pending = append(p.Pending, plannedOf(s))
	}
	for _, m := range preview.Skipped {
		p.Skipped = append(p.Skipped, m.Version)
	}
	return p, nil
}

func (l *onLedger) preview(ctx context.Context, offline bool) (postgres.Preview, error) {
	set, err := l.files()
	if err != nil {
		return postgres.Preview{}, err
	}
	if !offline {
		if err := l.connection(); err != nil {
			return postgres.Preview{}, err
		}
		return postgres.PreviewMigrate(ctx, l.Config, set)
	}
	if set, err = set.Upto(l.Target); err != nil {
		return postgres.Preview{}, err
	}
	empty, err := set.Plan(nil, migrations.Policy{})
	return postgres.Preview{Plan: empty}, err
}

// statementWidth is how much of a statement is shown, in bytes.
const statementWidth = 100

func plannedOf(s migrations.Step) plannedMigration {
	m := plannedMigration{Version: s.Migration.Version, Name: s.Migration.Name, File: s.Migration.Up.Path, Transaction: !s.Migration.NoTransaction}
	for _, st := range s.Statements {
		planned := plannedStatement{Line: st.Line, Statement: migrations.Redact(st.SQL, statementWidth), Unseen: st.Locks.Unseen}
		for _, k := range st.Locks.Tables {
			planned.Locks = append(planned.Locks, plannedLock{k.Table, k.Index, k.Mode, k.Mode.Blocks(), k.New})
		}
		m.Statements = append(m.Statements, planned)
	}
	return m
}

func (p plan) print(w io.Writer) error {
	var b strings.Builder
	at := "is empty"
	if p.From != "" {
		at = "is at version " + string(p.From)
	}
	switch {
	case len(p.Ahead) > 0 && len(p.Pending) == 0:
		fmt.Fprintf(&b, "%s %s, ahead of these files: nothing would run\n", p, at)
	case len(p.Pending) == 0:
		fmt.Fprintf(&b, "%s %s: nothing would run\n", p, at)
	default:
		fmt.Fprintf(&b, "%s %s: %s would run\n", p, at, counted(len(p.Pending), "migration", "migrations"))
	}
	for _, m := range p.Pending {
		m.print(&b)
	}
	if len(p.Skipped) > 0 {
		fmt.Fprintf(&b, "\nskipped, because newer ones are applied: %v\n", p.Skipped)
	}
	for _, id := range p.Unfinished {
		fmt.Fprintf(&b, "\n%s is half applied, and goes on where it stopped\n", id)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (m plannedMigration) print(b *strings.Builder) {
	how := "one transaction"
	if !m.Transaction {
		how = "each statement on its own"
	}
	fmt.Fprintf(b, "\n%s, %s\n", m.File, how)
	for _, st := range m.Statements {
		fmt.Fprintf(b, "  line %d: %s\n", st.Line, st.Statement)
		for _, k := range st.Locks {
			fmt.Fprintf(b, "    %s\n", k)
		}
		if st.Unseen != "" {
			fmt.Fprintf(b, "    not known: %s\n", st.Unseen)
		}
	}
}

// String reads "SHARE on orders, blocks writes".
func (k plannedLock) String() string {
	said := fmt.Sprintf("%s on %s", k.Mode, k.Table)
	if k.Index != "" {
		said = fmt.Sprintf("%s on the table of index %s", k.Mode, k.Index)
	}
	switch {
	case k.New:
		said += ", which is new"
	case k.Blocks != "":
		said += ", blocks " + k.Blocks
	}
	return said
}
