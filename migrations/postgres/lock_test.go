package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// logged is a buffer for concurrent writers.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const locksHeld = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"

// background starts a run that is under way when it returns, in a statement that sleeps.
func background(t *testing.T, ctx context.Context, cfg postgres.Config, url, sql string) (wait func() (migrations.Report, error)) {
	t.Helper()
	set := load(t, files("0007_slow.sql", sql))
	type result struct {
		report migrations.Report
		err    error
	}
	done := make(chan result, 1)
	go func() {
		report, err := postgres.Migrate(ctx, cfg, set)
		done <- result{report, err}
	}()
	eventually(t, url, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()", "1")
	return func() (migrations.Report, error) {
		r := <-done
		return r.report, r.err
	}
}

func TestWaitingRunnerSaysWhoHoldsTheLock(t *testing.T) {
	t.Parallel() // it waits more than it works
	url := freshURL(t)
	first := config(t, url)
	first.Pod = "first-pod"
	wait := background(t, t.Context(), first, url, "SELECT 'hunter2', pg_sleep(10)")

	var log logged
	second := config(t, url)
	second.Deadline = 6 * time.Second
	second.Logger = slog.New(slog.NewTextHandler(&log, nil))
	report, err := postgres.Migrate(t.Context(), second, load(t, numbered(1)))
	if postgres.ExitCode(err) != migrations.ExitBusy || !errors.Is(err, context.DeadlineExceeded) || report.Failure.Permanent {
		t.Errorf("exit %d: %v", postgres.ExitCode(err), err)
	}
	if took := report.Finished.Sub(report.Started).Seconds(); report.LockWait == 0 || report.LockWait > took {
		t.Errorf("it says that it waited %v s of %v", report.LockWait, took)
	}
	for _, text := range []string{err.Error(), log.String()} {
		if !strings.Contains(text, "schemawave/first-pod") || !strings.Contains(text, "0007_slow.sql") || strings.Contains(text, "hunter2") {
			t.Errorf("about the holder: %s", text)
		}
	}
	if report, err := wait(); err != nil || report.LockWait != 0 {
		t.Errorf("the first: %v, waited %v s", err, report.LockWait)
	}
}

// A run that is interrupted in the very request for the lock says who has it, as one does that is between two.
func TestARunInterruptedAsItAsksForTheLockSaysWhoHoldsIt(t *testing.T) {
	url := freshURL(t)
	first := config(t, url)
	first.Pod = "first-pod"
	held, release := context.WithCancel(t.Context())
	wait := background(t, held, first, url, "SELECT pg_sleep(60)")

	leases, err := pgconn.Connect(t.Context(), url) // the request writes there, too, and has to wait
	if err != nil {
		t.Fatal(err)
	}
	defer leases.Close(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := 0
	w := &wire{onWrite: func(b []byte) {
		if !bytes.Contains(b, []byte("pg_try_advisory_lock")) {
			return
		}
		if asked++; asked == 2 { // the holder was asked for after the first
			if _, err := leases.Exec(t.Context(), "BEGIN; LOCK TABLE schemawave.lease").ReadAll(); err != nil {
				t.Error(err)
			}
			time.AfterFunc(300*time.Millisecond, cancel)
		}
	}}
	second := config(t, url)
	second.LockTimeout = -1 // it waits until it is interrupted
	w.tap(&second)
	_, err = postgres.Migrate(ctx, second, load(t, numbered(1)))
	if postgres.ExitCode(err) != migrations.ExitBusy || !strings.Contains(err.Error(), "while waiting for the migration lock, held by") || !strings.Contains(err.Error(), "first-pod") {
		t.Errorf("exit %d: %v", postgres.ExitCode(err), err)
	}
	release()
	if _, err := wait(); err == nil {
		t.Error("the first was not interrupted")
	}
}

func TestInterruptedRunCancelsReportsAndUnlocks(t *testing.T) {
	for name, sql := range map[string]string{
		"transactional": "CREATE TABLE a (id int);\nSELECT pg_sleep(60);",
		"step by step":  "-- schemawave: no-transaction\nSELECT pg_sleep(60);",
		"on its own":    "-- schemawave: no-transaction\nDO $$ BEGIN PERFORM pg_sleep(60); END $$;",
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			wait := background(t, ctx, config(t, url), url, sql)
			began := time.Now()
			cancel()
			report, err := wait()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v to stop", took)
			}
			f := report.Failure
			if !errors.Is(err, context.Canceled) || f == nil || f.Code != migrations.ExitBusy || f.File != "0007_slow.sql" || f.Line != 2 {
				t.Errorf("%v: %+v", err, f)
			}
			if got := query(t, url, locksHeld); got[0] != "0" {
				t.Errorf("%s locks are held", got[0])
			}
			eventually(t, url, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'schemawave/%' AND datname = current_database()", "0")
			if got := query(t, url, "SELECT outcome FROM schemawave.run"); got[0] != "failed" {
				t.Errorf("run: %v", got)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel() // it waits more than it works
	cfg := config(t, freshURL(t))
	cfg.Deadline = 2 * time.Second
	report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_x.sql", "SELECT pg_sleep(60)")))
	if postgres.ExitCode(err) != migrations.ExitBusy || report.Failure.File != "1_x.sql" || !strings.Contains(report.Failure.Message, "deadline") {
		t.Errorf("%v", err)
	}
}

// The deadline is what ended a run that waited to write in the ledger, not the server's statement timeout.
func TestDeadlineInTheLedger(t *testing.T) {
	t.Parallel() // it waits more than it works
	url := freshURL(t)
	cfg := config(t, url)
	migrate(t, cfg, load(t, files("1_a.sql", "SELECT 1")))
	holdSnapshot(t, url, "LOCK TABLE schemawave.migration IN SHARE MODE")
	cfg.LockTimeout, cfg.Deadline = -1, time.Second
	report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", "SELECT 1", "2_b.sql", "SELECT 2")))
	f := report.Failure
	if postgres.ExitCode(err) != migrations.ExitBusy || !errors.Is(err, context.DeadlineExceeded) || f.File != "2_b.sql" ||
		!strings.HasPrefix(f.Message, "the deadline has passed while") || !strings.Contains(f.Hint, "policy.deadline") {
		t.Errorf("%v: %+v", err, f)
	}
}

// A migration that cannot get its lock gives up quickly, so that it does not hold up those behind it, and tries again.
func TestLockTimeoutIsRetried(t *testing.T) {
	url := freshURL(t)
	query(t, url, setup)
	end := holdSnapshot(t, url, "SELECT * FROM d")
	time.AfterFunc(700*time.Millisecond, end)
	cfg := config(t, url)
	cfg.LockTimeout = 100 * time.Millisecond
	var log logged
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	set := load(t, files("1_a.sql", "CREATE TABLE a (id int)", "2_d.sql", "SELECT 1;\nALTER TABLE d ADD w int;", "3_b.sql", "CREATE TABLE b (id int)"))
	if report := migrate(t, cfg, set); report.Count != 3 {
		t.Errorf("report: %+v", report)
	}
	if !strings.Contains(log.String(), "55P03") {
		t.Errorf("log: %s", log.String())
	}
}

func TestLockTimeoutIsReportedWhenItLasts(t *testing.T) {
	url := freshURL(t)
	query(t, url, setup)
	holdSnapshot(t, url, "SELECT * FROM d")
	cfg := config(t, url)
	cfg.LockTimeout, cfg.Retries = 50*time.Millisecond, 2
	report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_d.sql", "SELECT 1;\nALTER TABLE d ADD w int;")))
	f := report.Failure
	if postgres.ExitCode(err) != migrations.ExitBusy || f.SQLState != "55P03" || f.Permanent || f.Line != 2 || f.Hint == "" {
		t.Errorf("%v: %+v", err, f)
	}
}

func TestTerminatedBackendIsReplaced(t *testing.T) {
	url := freshURL(t)
	wait := background(t, t.Context(), config(t, url), url, "CREATE TABLE a (id int); SELECT pg_sleep(1)")
	query(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'schemawave/%' AND datname = current_database()")
	report, err := wait()
	if err != nil || report.Count != 1 {
		t.Errorf("%v: %+v", err, report)
	}
}

func TestOneServerManyLedgers(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	migrate(t, cfg, load(t, numbered(2)))

	other := cfg
	other.Database = "customers"
	report, err := postgres.Migrate(t.Context(), other, load(t, numbered(3)))
	if postgres.ExitCode(err) != migrations.ExitConfig || report.Failure.Hint == "" || !strings.Contains(err.Error(), "orders") {
		t.Errorf("another database's ledger: %v", err)
	}
	if _, err := postgres.Status(t.Context(), other); postgres.ExitCode(err) != migrations.ExitConfig {
		t.Errorf("status of another database's ledger: %v", err)
	}
	other.LedgerSchema = `odd "schema"`
	migrate(t, other, load(t, files("1_x.sql", "CREATE TABLE x (id int)")))
	if got := recorded(t, other); !slices.Equal(got, []string{"1"}) {
		t.Errorf("other ledger: %v", got)
	}
	if got := recorded(t, cfg); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("first ledger: %v", got)
	}
}

// A role that may not create schemas can migrate if the schema was made for it.
func TestPreparedSchema(t *testing.T) {
	url := freshURL(t)
	role := "app_" + databaseName(t, url)
	query(t, url, "CREATE ROLE "+role+" LOGIN; CREATE SCHEMA schemawave AUTHORIZATION "+role+"; GRANT CREATE ON SCHEMA public TO "+role)
	cfg := config(t, strings.Replace(url, "postgres@", role+"@", 1))
	if report := migrate(t, cfg, load(t, numbered(2))); report.Count != 2 {
		t.Errorf("%+v", report)
	}
}
