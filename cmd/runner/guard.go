package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// guard is the command line of one question.
type guard struct {
	version, history string   // what a directory comes to, or
	repeatables      []string // NAME=CHECKSUM
	dir              string   // the directory itself, or
	ofTool           bool     // a tool's run for SCHEMAWAVE_DIGEST
	layout           string
	outOfOrder       string
	report           string
	logFormat        string
	verbose          bool
	postgres.Config  // what is passed on as it is
	postgres.Tenants
	ofTenants      bool // there are some, even if none is found
	getenv         func(string) string
	stdout, stderr io.Writer
}

func newGuard(getenv func(string) string) *cobra.Command {
	g := guard{getenv: getenv}
	c := &cobra.Command{
		Use:   "guard --database NAME (--version V --history DIGEST | --dir DIR | --tool-run)",
		Short: "Ask the ledger whether a migration is there, and fail if not",
		Long: `Ask the ledger of a PostgreSQL database whether a migration is there: one connection and one query, without a lock and without
writing anything; with tenants, that for each of them, and one connection to find them. A Job with this command lets a sync
of Argo CD go on only if the hook that migrates has run, in this sync or before. A database that is ahead is no failure, as it
is none for migrate.

What is asked for is one of three: the newest version and the history's digest, with --repeatable for each repeatable migration,
as they are known when a directory is rendered; a directory, as an image holds it; or that a team's own tool has been run with
success for the image and the command that SCHEMAWAVE_DIGEST stands for.

Exit codes: 0 it is there · 65 it is not, or the history is wrong; also while a run is under way, which a sync of its own waits
for · 69 the database cannot be reached · 77 permission denied · 78 wrong configuration · 64 wrong usage.

Environment: DATABASE_URL, or libpq's PG* variables; SCHEMAWAVE_DIGEST or SCHEMAWAVE_JOB_DIGEST goes into the report.`,
		Example: `  schemawave-runner guard --dir migrations --database orders
  schemawave-runner guard --version 2 --history sha256:d3b780f44495e9c6ebc60531a523e56d28be24e5bca820e28817b5733e2daf18 --database orders
  SCHEMAWAVE_DIGEST=sha256:5e0c schemawave-runner guard --tool-run --database orders --environment production`,
		Args: cobra.NoArgs,
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
			g.stdout, g.stderr = c.OutOrStdout(), c.ErrOrStderr()
			g.ofTenants = c.Flags().Changed("tenants") || c.Flags().Changed("tenant")
			return g.run(ctx)
		}),
	}
	f := c.Flags()
	f.StringVar(&g.version, "version", "", "the version that must be applied, with --history")
	f.StringVar(&g.history, "history", "", `digest of the migrations up to --version, "sha256:…"`)
	f.StringArrayVar(&g.repeatables, "repeatable", nil, "NAME=CHECKSUM of a repeatable migration that must be in force; may be repeated")
	f.StringVar(&g.dir, "dir", "", "directory of SQL files that must be applied")
	f.BoolVar(&g.ofTool, "tool-run", false, "a tool must have been run for SCHEMAWAVE_DIGEST")
	f.StringVar(&g.layout, "layout", string(migrations.LayoutAuto), fmt.Sprintf("how files are named and divided, one of %v", migrations.Layouts()))
	f.StringVar(&g.Target, "target", "latest", "ask for the directory up to this version")
	f.StringVar(&g.outOfOrder, "out-of-order", string(migrations.OutOfOrderRefuse), "what migrate does with a migration older than what is applied: refuse, apply or skip it")
	f.StringVar(&g.Database, "database", "", "logical name of the database; its ledger answers for no other (required)")
	f.StringVar(&g.Environment, "environment", "", "what the report says of where this is, as in production")
	f.DurationVar(&g.Deadline, "deadline", 2*time.Minute, "how long it may take in all, retries included; 0 without limit")
	f.StringVar(&g.LedgerSchema, "ledger-schema", postgres.DefaultLedgerSchema, "schema that holds the ledger")
	f.StringVar(&g.Query, "tenants", "", "SQL that selects the tenants' names: all of them must have it")
	f.StringArrayVar(&g.Names, "tenant", nil, "a tenant's name; may be repeated")
	f.IntVar(&g.Parallel, "parallel", postgres.DefaultParallel, "how many tenants are asked about at once")
	f.StringVar(&g.report, "report", "", "file that takes the report as JSON, as in /dev/termination-log")
	f.StringVar(&g.logFormat, "log-format", "text", "text or json")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "log more")
	return c
}

func (g *guard) run(ctx context.Context) error {
	question, err := g.question()
	if err != nil {
		return err
	}
	if g.Logger, err = cli.Logger(g.stderr, g.logFormat, g.verbose); err != nil {
		return err
	}
	g.Job, g.Pod = g.getenv("SCHEMAWAVE_JOB"), g.getenv("SCHEMAWAVE_POD")
	report, err := g.ask(ctx, question)
	b, encodeErr := report.Encode()
	if encodeErr != nil {
		return errors.Join(err, cli.Exit(migrations.ExitBug, encodeErr))
	}
	if report.Failure == nil {
		fmt.Fprintf(g.stdout, "%s: the migration is there\n", g.Database)
	}
	return errors.Join(err, writeReport(g.report, b))
}

// question reads what is asked for off the command line.
func (g *guard) question() (postgres.Question, error) {
	if g.Digest = g.getenv("SCHEMAWAVE_DIGEST"); g.Digest == "" {
		g.Digest = g.getenv("SCHEMAWAVE_JOB_DIGEST")
	}
	ways := 0
	for _, given := range []bool{g.version != "" || g.history != "", g.dir != "", g.ofTool} {
		if given {
			ways++
		}
	}
	switch {
	case g.Database == "":
		return postgres.Question{}, cli.Usage("--database is required")
	case ways != 1 || (g.version == "") != (g.history == ""):
		return postgres.Question{}, cli.Usage("want one of --version with --history, --dir, and --tool-run")
	case g.ofTool && (g.Digest == "" || g.ofTenants):
		return postgres.Question{}, cli.Usage("--tool-run needs SCHEMAWAVE_DIGEST, and takes no tenants")
	case g.Parallel < 1:
		return postgres.Question{}, cli.Usage("--parallel %d: want at least 1", g.Parallel)
	case g.ofTenants && len(g.Names) == 0 && strings.TrimSpace(g.Query) == "": // as an unset variable makes it
		return postgres.Question{}, cli.Usage("--tenants is empty: want a query, as in 'SELECT schema_name FROM public.shops'")
	case g.ofTool:
		return postgres.Question{ToolRun: g.Digest}, nil
	case g.dir != "":
		if _, err := migrations.ParseLayout(g.layout); err != nil {
			return postgres.Question{}, cli.Usage("--layout: %w", err)
		}
		return postgres.Question{Absent: g.absentOfDirectory()}, nil
	}
	outline, err := g.outline()
	return postgres.Question{Absent: func(applied []migrations.Applied) (string, error) { return outline.Absent(applied), nil }}, err
}

func (g *guard) outline() (migrations.Outline, error) {
	o := migrations.Outline{HistoryDigest: g.history, Repeatables: map[string]string{}}
	var err error
	if o.Version, err = migrations.ParseVersion(g.version); err != nil {
		return o, cli.Usage("--version: %w", err)
	}
	for _, r := range g.repeatables {
		at := strings.LastIndexByte(r, '=')
		if at < 1 {
			return o, cli.Usage("--repeatable %q: want NAME=CHECKSUM", r)
		}
		o.Repeatables[r[:at]] = r[at+1:]
	}
	return o, nil
}

// absentOfDirectory plans the directory, as migrate does: what is pending is missing. It is read once, before the first answer.
func (g *guard) absentOfDirectory() func([]migrations.Applied) (string, error) {
	u, err := migrations.Read(migrations.Dir(g.dir), migrations.Layout(g.layout))
	set := migrations.Set(u)
	if err == nil {
		set, err = set.Upto(g.Target)
	}
	return func(applied []migrations.Applied) (string, error) {
		if err != nil {
			return "", err
		}
		plan, err := set.Plan(applied, migrations.Policy{OutOfOrder: migrations.OutOfOrder(g.outOfOrder)})
		if err != nil || plan.Current() {
			return "", err
		}
		missing := append(plan.Pending, plan.Repeat...)
		text := "of " + g.dir + " is missing " + missing[0].ID()
		if more := len(missing) - 1; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		return text, nil
	}
}

// ask does the work. The report is usable in any case.
func (g *guard) ask(ctx context.Context, q postgres.Question) (report migrations.Report, err error) {
	if g.Conn, err = postgres.ParseConfig(g.getenv); err != nil {
		return notBegun(g.Config, time.Now(), err), err
	}
	if g.ofTenants {
		return postgres.GuardTenants(ctx, g.Config, q, g.Tenants)
	}
	return postgres.Guard(ctx, g.Config, q)
}
