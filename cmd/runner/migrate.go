package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// migrate is the command line of one run.
type migrate struct {
	dir, bundles      string // one of them is set
	layout            string
	minCompatible     string
	report            string
	output, logFormat string
	verbose           bool
	outOfOrder        string
	postgres.Config   // what is passed on as it is
	postgres.Tenants
	ofTenants             bool // there are some, even if none is found
	getenv                func(string) string
	stdout, stderr        io.Writer
	reportedMinCompatible migrations.Version
}

func newMigrate(getenv func(string) string) *cobra.Command {
	m := migrate{getenv: getenv}
	c := &cobra.Command{
		Use:   "migrate --dir DIR --database NAME",
		Short: "Bring a database up to a directory of migrations",
		Long: `Apply the migrations of a directory that a PostgreSQL database does not have yet, each in a transaction together with
its row in the ledger (schema schemawave of the same database). Any number may run at once: one works, the others wait
and find it done. With nothing to do it costs one connection and one query.

With --tenants or --tenant the same migrations go to each tenant's schema, which has a history of its own in the one ledger;
a tenant that fails holds up no other, and the next run goes on with those that are not done.

Exit codes: 0 the database has them all · 65 a migration or the history is wrong · 69 the database cannot be reached ·
75 busy, try again · 77 permission denied · 78 wrong configuration · 64 wrong usage.

Environment: DATABASE_URL, or libpq's PG* variables; SCHEMAWAVE_JOB and SCHEMAWAVE_POD name this run in the ledger;
SCHEMAWAVE_DIGEST is the digest that the migrations must have; SCHEMAWAVE_JOB_DIGEST takes its place in ledger and report where
a Job was rendered without seeing them.`,
		Example: `  DATABASE_URL=postgres://orders@localhost/orders schemawave-runner migrate --dir migrations --database orders
  schemawave-runner migrate --dir /migrations --database orders --environment production --report /dev/termination-log
  schemawave-runner migrate --dir migrations --database orders --tenants 'SELECT schema_name FROM public.shops' --parallel 8`,
		Args: cobra.NoArgs,
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
			m.stdout, m.stderr = c.OutOrStdout(), c.ErrOrStderr()
			m.ofTenants = c.Flags().Changed("tenants") || c.Flags().Changed("tenant")
			return m.run(ctx)
		}),
	}
	f := c.Flags()
	f.StringVar(&m.dir, "dir", "", "directory of SQL files")
	f.StringVar(&m.bundles, "bundles", "", "directory of bundles of SQL files, as in Jobs with many, in place of --dir")
	f.StringVar(&m.Database, "database", "", "logical name of the database; its ledger refuses any other (required)")
	f.StringVar(&m.Environment, "environment", "", "what the report says of where this is, as in production")
	f.StringVar(&m.layout, "layout", string(migrations.LayoutAuto), fmt.Sprintf("how files are named and divided, one of %v", migrations.Layouts()))
	f.StringVar(&m.Target, "target", "latest", "apply up to this version")
	f.StringVar(&m.minCompatible, "min-compatible", "", "oldest version whose readers still work, in place of what the migrations say; of a database that is ahead of them, if it is newer")
	f.StringVar(&m.outOfOrder, "out-of-order", string(migrations.OutOfOrderRefuse), "a migration older than what is applied: refuse, apply or skip it")
	f.DurationVar(&m.LockTimeout, "lock-timeout", postgres.DefaultLockTimeout, "how long a statement waits for a lock before it is tried again; 0 without limit")
	f.DurationVar(&m.StatementTimeout, "statement-timeout", 0, "how long a statement may run; 0 without limit")
	f.DurationVar(&m.Deadline, "deadline", 30*time.Minute, "how long the run may take in all, waiting and retries included; 0 without limit")
	f.StringVar(&m.LedgerSchema, "ledger-schema", postgres.DefaultLedgerSchema, "schema that holds the ledger")
	f.StringVar(&m.Query, "tenants", "", "SQL that selects the tenants' names: each is a schema to migrate")
	f.StringArrayVar(&m.Names, "tenant", nil, "a tenant's name; may be repeated")
	f.IntVar(&m.Parallel, "parallel", postgres.DefaultParallel, "how many tenants are migrated at once")
	f.StringVar(&m.report, "report", "", "file that takes the report as JSON, as in /dev/termination-log")
	f.StringVarP(&m.output, "output", "o", "text", "what to print at the end: text, or json (the report)")
	f.StringVar(&m.logFormat, "log-format", "text", "text or json")
	f.BoolVarP(&m.verbose, "verbose", "v", false, "log more")
	return c
}

func (m *migrate) run(ctx context.Context) error {
	log, err := m.check()
	if err != nil {
		return err
	}
	m.Job, m.Pod, m.ToolVersion = m.getenv("SCHEMAWAVE_JOB"), m.getenv("SCHEMAWAVE_POD"), cli.Version
	m.Digest = m.getenv("SCHEMAWAVE_JOB_DIGEST")
	m.LockTimeout = cmp.Or(m.LockTimeout, postgres.NoLimit)
	m.OutOfOrder, m.Logger = migrations.OutOfOrder(m.outOfOrder), log
	report, err := m.migrate(ctx)
	if v := m.reportedMinCompatible; v != "" && m.decides(report) {
		report.MinCompatible = v
	}
	return errors.Join(err, m.deliver(report))
}

// decides reports whether --min-compatible says which readers still work with the schema that a report tells. Where that is newer than
// the migrations here, they and the flag know only a part.
func (m *migrate) decides(r migrations.Report) bool {
	switch r.Outcome {
	case migrations.OutcomeFailed:
		return false
	case migrations.OutcomeAhead:
		return m.reportedMinCompatible.Compare(r.MinCompatible) > 0
	}
	return true
}

// check finds what is wrong with the command line.
func (m *migrate) check() (*slog.Logger, error) {
	if (m.dir == "") == (m.bundles == "") || m.Database == "" {
		return nil, cli.Usage("--dir (or --bundles) and --database are required")
	}
	if m.output != "text" && m.output != "json" {
		return nil, cli.Usage("--output %q: want text or json", m.output)
	}
	if _, err := migrations.ParseLayout(m.layout); err != nil {
		return nil, cli.Usage("--layout: %w", err)
	}
	if m.ofTenants && len(m.Names) == 0 && strings.TrimSpace(m.Query) == "" { // as an unset variable makes it
		return nil, cli.Usage("--tenants is empty: want a query, as in 'SELECT schema_name FROM public.shops'")
	}
	if m.Parallel < 1 {
		return nil, cli.Usage("--parallel %d: want at least 1", m.Parallel)
	}
	if m.minCompatible != "" {
		v, err := migrations.ParseVersion(m.minCompatible)
		if err != nil {
			return nil, cli.Usage("--min-compatible: %w", err)
		}
		m.reportedMinCompatible = v
	}
	return cli.Logger(m.stderr, m.logFormat, m.verbose)
}

// migrate does the work. The report is usable in any case.
func (m *migrate) migrate(ctx context.Context) (migrations.Report, error) {
	var unset error // matters once the directory is known to be right
	m.Conn, unset = postgres.ParseConfig(m.getenv)
	if !m.ofTenants && unset == nil {
		return postgres.MigrateLoading(ctx, m.Config, m.read)
	}
	started := time.Now()
	set, err := m.load()
	if err = cmp.Or(err, unset); err != nil {
		m.Digest = cmp.Or(m.Digest, set.Digest())
		return notBegun(m.Config, started, err), err
	}
	return postgres.MigrateTenants(ctx, m.Config, set, m.Tenants)
}

// load reads and checks the directory.
func (m *migrate) load() (migrations.Set, error) {
	u, err := m.read()
	if err != nil {
		return migrations.Set(u), err
	}
	return u.Check()
}

// read reads the directory. Where SCHEMAWAVE_DIGEST says what was rendered, it must be that: a ConfigMap can be edited.
func (m *migrate) read() (migrations.Unchecked, error) {
	read, dir := migrations.Read, m.dir
	if m.bundles != "" {
		read, dir = migrations.ReadBundles, m.bundles
	}
	u, err := read(migrations.Dir(dir), migrations.Layout(m.layout))
	if err != nil {
		return u, err
	}
	wanted, err := migrations.Set(u).Upto(m.Target)
	if want := m.getenv("SCHEMAWAVE_DIGEST"); err == nil && want != "" && wanted.Digest() != want {
		err = &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("%s holds the migrations %s, but this Job was rendered for %s", dir, wanted.Digest(), want),
			Hint: "render the overlay again, and leave the ConfigMaps as they are rendered"}
	}
	return u, err
}

// deliver writes the report where it was asked for, and says how it went.
func (m *migrate) deliver(r migrations.Report) error {
	b, err := r.Encode()
	if err != nil {
		return cli.Exit(migrations.ExitBug, err)
	}
	if m.output == "json" {
		fmt.Fprintf(m.stdout, "%s\n", b)
	} else if r.Failure == nil {
		fmt.Fprintln(m.stdout, summary(r))
	}
	return writeReport(m.report, b)
}

// notBegun is the report of a run that was told what it cannot do before it asked the database anything.
func notBegun(cfg postgres.Config, started time.Time, err error) migrations.Report {
	return migrations.Report{
		Format: migrations.ReportFormat, Database: cfg.Database, Environment: cfg.Environment, Digest: cfg.Digest,
		Started: started.UTC(), Finished: time.Now().UTC(), Outcome: migrations.OutcomeFailed, Failure: postgres.FailureOf(err),
	}
}

// writeReport writes an encoded report to the file that --report names, if it names one.
func writeReport(path string, encoded []byte) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, encoded, 0o644); err != nil {
		return &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("write the report: %w", err), Hint: "give --report a file that can be written"}
	}
	return nil
}

func summary(r migrations.Report) string {
	took := r.Finished.Sub(r.Started).Round(time.Millisecond)
	if t := r.Tenants; t != nil {
		return fmt.Sprintf("%s: %d of %d tenants were migrated, the others were at version %s already, with %d migrations in all, in %s",
			r.Database, t.Succeeded, t.Total, r.To, r.Count, took)
	}
	switch r.Outcome {
	case migrations.OutcomeCurrent:
		return fmt.Sprintf("%s is current at version %s, in %s", r.Database, r.To, took)
	case migrations.OutcomeAhead:
		return fmt.Sprintf("%s is ahead of these migrations, at version %s: nothing to do, in %s", r.Database, r.To, took)
	}
	from := r.From
	if from == "" {
		from = "nothing"
	}
	return fmt.Sprintf("%s went from %s to version %s with %d migrations, in %s", r.Database, from, r.To, r.Count, took)
}
