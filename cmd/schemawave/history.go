package main

import (
	"context"
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
	Database   string          `json:"database"`
	Migrations []historyRecord `json:"migrations"` // in the order of application
	Repeatable []historyRecord `json:"repeatable,omitempty"`
	Unfinished []string        `json:"unfinished,omitempty"` // versions, or R__ and a name; after U__ what is half reverted
}

type historyRecord struct {
	Version       migrations.Version `json:"version,omitempty"`
	Name          string             `json:"name"`
	Checksum      string             `json:"checksum"`
	Digest        string             `json:"digest,omitempty"` // of the history up to this one
	MinCompatible migrations.Version `json:"minCompatible,omitempty"`
	AppliedAt     time.Time          `json:"appliedAt"`
	Seconds       float64            `json:"seconds,omitempty"`
	Run           string             `json:"run,omitempty"` // empty if it was adopted, not run
	Reversible    bool               `json:"reversible"`
}

func newHistory(getenv func(string) string) *cobra.Command {
	l := onLedger{getenv: getenv}
	return l.command(&cobra.Command{
		Use:   "history --database NAME",
		Short: "List what was applied to a database",
		Long: `List what was applied to a database, in the order of application, as its ledger remembers it: when, how long it took,
and whether the script that reverts it was stored. It needs no files.`,
		Example: "  schemawave history --database orders\n  schemawave history --database orders -o json",
	}, func(ctx context.Context, c *cobra.Command) error {
		if err := l.connection(); err != nil {
			return err
		}
		status, err := postgres.Status(ctx, l.Config)
		if err != nil {
			return err
		}
		h := history{Database: l.Database, Migrations: []historyRecord{}, Unfinished: status.Unfinished}
		for _, r := range status.Migrations {
			h.Migrations = append(h.Migrations, recordOf(r))
		}
		for _, r := range status.Repeatable {
			h.Repeatable = append(h.Repeatable, recordOf(r))
		}
		return l.print(c.OutOrStdout(), h, h.print)
	})
}

func recordOf(r postgres.Record) historyRecord {
	return historyRecord{Version: r.Version, Name: r.Name, Checksum: r.Checksum, Digest: r.Digest, MinCompatible: r.MinCompatible,
		AppliedAt: r.AppliedAt, Seconds: r.Took.Seconds(), Run: r.Run, Reversible: strings.TrimSpace(r.Down) != ""}
}

func (h history) print(w io.Writer) error {
	if len(h.Migrations)+len(h.Repeatable)+len(h.Unfinished) == 0 {
		_, err := fmt.Fprintf(w, "%s has no history: nothing was applied yet\n", h.Database)
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "VERSION\tNAME\tAPPLIED\tTOOK\tRUN\tDOWN SCRIPT")
	for _, r := range h.Migrations {
		r.print(table, string(r.Version))
	}
	for _, r := range h.Repeatable {
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
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", version, r.Name, r.AppliedAt.Format("2006-01-02 15:04:05Z"), took, run, down)
}
