package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// tool is the command line of one run of a team's own tool.
type tool struct {
	history         string
	table, query    string
	report          string
	logFormat       string
	verbose         bool
	postgres.Config // what is passed on as it is
	getenv          func(string) string
	stdout, stderr  io.Writer
}

func newExec(getenv func(string) string) *cobra.Command {
	t := tool{getenv: getenv}
	c := &cobra.Command{
		Use:   "exec --history KIND --database NAME -- COMMAND...",
		Short: "Run a team's own migration tool, under the same lock and with the same report",
		Long: fmt.Sprintf(`Run a command that migrates a PostgreSQL database. Any number may run at once, together with migrate: one works, the others
wait for its lock and run their command after it. The tenants of migrate --tenants, who do not wait for each other, wait too.
The schema's version is read from the history that the tool keeps itself, before and after.

The command connects as it is configured to. libpq's PGOPTIONS gives it a lock timeout and a statement timeout, unless
PGOPTIONS is set to nothing or to others; a set PGAPPNAME stays. What it prints passes through, without the passwords and
tokens of the environment. SIGTERM and SIGINT are passed on to it, and it does not outlive this program. SIGQUIT, SIGHUP and, to
process 1, SIGWINCH, which images may name as their STOPSIGNAL, are passed on as SIGTERM.

The kinds of history: %s.
custom takes --history-query: SQL that selects the version, a number that grows with the schema.

Exit codes: 0 the tool did its work · 65 it failed · 75 it failed for a reason that may pass, was ended by a signal, or the
lock was not free in time · 69 the database cannot be reached · 77 permission denied · 78 the command is not there, or the
configuration is wrong · 64 wrong usage.

Environment: DATABASE_URL, also as Prisma, Rails, SQLAlchemy, Ecto or JDBC write it, or libpq's PG* variables, for the lock and
the history; SCHEMAWAVE_JOB and SCHEMAWAVE_POD name this run in the ledger; SCHEMAWAVE_DIGEST goes into the report.`, kinds()),
		Example: `  schemawave-runner exec --history laravel --database orders --environment production -- php artisan migrate --force
  schemawave-runner exec --history custom --history-query 'SELECT max(version) FROM changes' --database orders -- ./migrate.sh`,
		Args: cobra.MinimumNArgs(1),
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, args []string) error {
			t.stdout, t.stderr = c.OutOrStdout(), c.ErrOrStderr()
			return t.run(ctx, args)
		}),
	}
	f := c.Flags()
	f.SetInterspersed(false) // what follows the command is the command's
	f.StringVar(&t.history, "history", "", "whose history tells the schema's version: laravel, django, … (required)")
	f.StringVar(&t.table, "history-table", "", "the table of that history, if it has another name: app.migrations")
	f.StringVar(&t.query, "history-query", "", "for --history custom: SQL that selects the version")
	f.StringVar(&t.Database, "database", "", "logical name of the database; its ledger refuses any other (required)")
	f.StringVar(&t.Environment, "environment", "", "what the report says of where this is, as in production")
	f.DurationVar(&t.LockTimeout, "lock-timeout", postgres.DefaultLockTimeout, "how long a statement of the tool waits for a lock before it fails; 0 without limit")
	f.DurationVar(&t.StatementTimeout, "statement-timeout", 0, "how long a statement of the tool may run; 0 without limit")
	f.DurationVar(&t.Deadline, "deadline", 30*time.Minute, "how long the run may take in all, waiting included; 0 without limit")
	f.StringVar(&t.LedgerSchema, "ledger-schema", postgres.DefaultLedgerSchema, "schema that holds the ledger")
	f.StringVar(&t.report, "report", "", "file that takes the report as JSON, as in /dev/termination-log")
	f.StringVar(&t.logFormat, "log-format", "text", "text or json")
	f.BoolVarP(&t.verbose, "verbose", "v", false, "log more")
	return c
}

func kinds() string {
	var all []string
	for _, k := range postgres.HistoryTools() {
		all = append(all, string(k))
	}
	return strings.Join(all, ", ")
}

func (t *tool) run(ctx context.Context, args []string) error {
	if t.history == "" || t.Database == "" {
		return cli.Usage("--history and --database are required")
	}
	log, err := cli.Logger(t.stderr, t.logFormat, t.verbose)
	if err != nil {
		return err
	}
	t.LockTimeout = cmp.Or(t.LockTimeout, postgres.NoLimit)
	t.Job, t.Pod, t.ToolVersion, t.Logger = t.getenv("SCHEMAWAVE_JOB"), t.getenv("SCHEMAWAVE_POD"), cli.Version, log
	report, err := t.exec(ctx, args)
	b, encodeErr := report.Encode()
	if encodeErr != nil {
		return errors.Join(err, cli.Exit(migrations.ExitBug, encodeErr))
	}
	if report.Failure == nil {
		fmt.Fprintln(t.stderr, toolSummary(report))
	}
	return errors.Join(err, writeReport(t.report, b))
}

// exec does the work. The report is usable in any case.
func (t *tool) exec(ctx context.Context, args []string) (migrations.Report, error) {
	name := filepath.Base(args[0])
	command := postgres.Command{Name: name, Digest: t.getenv("SCHEMAWAVE_DIGEST"),
		History: postgres.ToolHistory{Tool: postgres.Tool(t.history), Table: t.table, Query: t.query}}
	path, err := exec.LookPath(args[0])
	if err != nil {
		err = notStarted(name, err)
	} else {
		t.Conn, err = postgres.ParseConfig(func(name string) string {
			if name == "DATABASE_URL" {
				return forPostgres(t.getenv(name))
			}
			return t.getenv(name)
		})
	}
	if err != nil {
		return postgres.NotRun(t.Config, command, err), err
	}
	environ := os.Environ()
	secrets := secretsOf(environ, t.Conn.Password)
	command.Run = func(ctx context.Context, settings map[string]string) (int, error) {
		last := &tail{}
		stdout, stderr := &stream{to: t.stdout, secrets: secrets, last: last}, &stream{to: t.stderr, secrets: secrets, last: last}
		end, err := child{path: path, args: args, environ: withSettings(environ, settings), stdout: stdout, stderr: stderr, init: os.Getpid() == 1}.run(ctx)
		if err != nil {
			return -1, notStarted(name, err)
		}
		stdout.flush()
		stderr.flush()
		return end.status, verdict(name, end, last)
	}
	return postgres.Exclusively(ctx, t.Config, command)
}

// escapeOption makes one option of a value (PostgreSQL, "options" of libpq).
var escapeOption = strings.NewReplacer(`\`, `\\`, " ", `\ `)

// withSettings adds the settings of the tool's database sessions to its environment. Of two that contradict each other PostgreSQL
// takes the later one (PostgreSQL, "PGOPTIONS" of libpq), which is the user's.
func withSettings(environ []string, settings map[string]string) []string {
	if settings == nil {
		return environ
	}
	options := ""
	given := slices.IndexFunc(environ, func(v string) bool { return strings.HasPrefix(v, "PGOPTIONS=") })
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name != "application_name" {
			options += fmt.Sprintf("-c %s=%s ", name, escapeOption.Replace(settings[name]))
		}
	}
	named := slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "PGAPPNAME=") })
	environ = slices.Clone(environ)
	if !named {
		environ = append(environ, "PGAPPNAME="+settings["application_name"])
	}
	switch {
	case given < 0:
		environ = append(environ, "PGOPTIONS="+strings.TrimSpace(options))
	case environ[given] != "PGOPTIONS=": // set to nothing, it is to stay so
		environ[given] = "PGOPTIONS=" + options + strings.TrimPrefix(environ[given], "PGOPTIONS=")
	}
	return environ
}

func toolSummary(r migrations.Report) string {
	took := r.Finished.Sub(r.Started).Round(time.Millisecond)
	name := func(version migrations.Version, named string) string {
		switch {
		case version == "" && named == "":
			return "nothing"
		case version == "":
			return named
		}
		return "version " + string(version)
	}
	to := name(r.To, r.Tool.To)
	switch {
	case r.Outcome == migrations.OutcomeCurrent:
		return fmt.Sprintf("%s was current at %s, in %s", r.Database, to, took)
	case r.Count > 0:
		return fmt.Sprintf("%s went from %s to %s with %d migrations, in %s", r.Database, name(r.From, r.Tool.From), to, r.Count, took)
	}
	return fmt.Sprintf("%s went from %s to %s, in %s", r.Database, name(r.From, r.Tool.From), to, took)
}
