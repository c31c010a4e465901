package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// history is what the command prints as JSON.
type history struct {
	subject
	Migrations []historyRecord `json:"migrations"` // in the order of application
	Repeatable []historyRecord `json:"repeatable,omitempty"`
	Unfinished []string        `json:"unfinished,omitempty"` // versions, or R__ and a name; after U__ what is half reverted
}

type historyRecord struct {
	Version       migrations.Version `json:"version,omitempty"`
	Name          string             `json:"name"`
	Checksum      string             `json:"checksum"`         // empty of a repeatable one that is not in force any more and runs again
	Digest        string             `json:"digest,omitempty"` // of the history up to this one
	MinCompatible migrations.Version `json:"minCompatible,omitempty"`
	AppliedAt     time.Time          `json:"appliedAt"`
	Seconds       float64            `json:"seconds,omitempty"`
	Run           string             `json:"run,omitempty"` // empty if it was adopted, not run
	Reversible    bool               `json:"reversible"`
}

func newHistory(getenv func(string) string) *cobra.Command {
	l := onLedger{getenv: getenv}
	return l.withTenants(l.command(&cobra.Command{
		Use:   "history --database NAME",
		Short: "List what was applied to a database",
		Long: `List what was applied to a database, in the order of application, as its ledger remembers it: when, how long it took,
and whether the script that reverts it was stored. It needs no files.

With --tenant it is the history of one tenant. With several, or --tenants, it is a line for each: the version it is at, when it
got there, and how its last run failed, if it did.`,
		Example: `  schemawave history --database orders
  schemawave history --database orders --tenant shop17 -o json
  schemawave history --database orders --tenants 'SELECT schema_name FROM public.shops'`,
	}, func(ctx context.Context, c *cobra.Command) error {
		if err := l.connection(); err != nil {
			return err
		}
		if l.several() {
			return l.standings(ctx, c.OutOrStdout())
		}
		status, err := postgres.Status(ctx, l.Config)
		if err != nil {
			return err
		}
		h := history{subject: subjectOf(l.Config, nil), Migrations: []historyRecord{}, Unfinished: status.Unfinished}
		for _, r := range status.Migrations {
			h.Migrations = append(h.Migrations, recordOf(r))
		}
		for _, r := range status.Repeatable {
			h.Repeatable = append(h.Repeatable, recordOf(r))
		}
		return l.print(c.OutOrStdout(), h, h.print)
	}))
}

// standings prints where each tenant stands.
func (l *onLedger) standings(ctx context.Context, w io.Writer) error {
	each, err := postgres.StatusTenants(ctx, l.Config, l.tenants)
	if each == nil && err != nil {
		return err
	}
	list := make([]standing, len(each))
	for i, one := range each {
		list[i] = standingOf(l.Config, one.Tenant, one.Result, one.Err)
	}
	return errors.Join(err, l.print(w, list, func(w io.Writer) error {
		table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
		fmt.Fprintln(table, "TENANT\tVERSION\tMIGRATIONS\tAPPLIED\tLAST FAILURE")
		for _, s := range list {
			at := "-"
			if s.AppliedAt != nil {
				at = s.AppliedAt.Format(stamp)
			}
			fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", s.Tenant, s.version(), s.Applied, at, s.trouble())
		}
		return table.Flush()
	}))
}

func recordOf(r postgres.Record) historyRecord {
	return historyRecord{Version: r.Version, Name: r.Name, Checksum: r.Checksum, Digest: r.Digest, MinCompatible: r.MinCompatible,
		AppliedAt: r.AppliedAt, Seconds: r.Took.Seconds(), Run: r.Run, Reversible: strings.TrimSpace(r.Down) != ""}
}

func (h history) print(w io.Writer) error {
	if len(h.Migrations)+len(h.Repeatable)+len(h.Unfinished) == 0 {
		_, err := fmt.Fprintf(w, "%s has no history: nothing was applied yet\n", h)
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "VERSION\tNAME\tAPPLIED\tTOOK\tRUN\tDOWN SCRIPT")
	for _, r := range h.Migrations {
		r.print(table, string(r.Version))
	}
	for _, r := range h.Repeatable {
		if r.Checksum == "" {
			r.print(table, "repeatable, due again")
			continue
		}
		r.print(table, "repeatable")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, id := range h.Unfinished {
		said := fmt.Sprintf("%s is half applied: run migrate again", id)
		if version, down := strings.CutPrefix(id, "U__"); down {
			said = fmt.Sprintf("%s is half reverted: run down again", version)
		}
		fmt.Fprintln(w, "\n"+said)
	}
	return nil
}

func (r historyRecord) print(w io.Writer, version string) {
	run, took, down := "adopted", "-", "no"
	if r.Run != "" {
		run = r.Run[:min(8, len(r.Run))]
	}
	if r.Seconds > 0 {
		took = time.Duration(r.Seconds * float64(time.Second)).Round(time.Millisecond).String()
	}
	if r.Reversible {
		down = "yes"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", version, r.Name, r.AppliedAt.Format(stamp), took, run, down)
}
