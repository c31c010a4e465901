package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// countedFiles makes n migrations after one that makes the table in which each says that it was executed; one in so many
// builds an index concurrently besides.
func countedFiles(n, indexes int) fstest.MapFS {
	dir := fstest.MapFS{"0000_executions.sql": {Data: []byte("CREATE TABLE executions (what int NOT NULL);")}}
	for i := 1; i <= n; i++ {
		sql := fmt.Sprintf("CREATE TABLE t%[1]d (id bigint PRIMARY KEY);\nINSERT INTO executions VALUES (%[1]d);\n", i)
		if i%indexes == 0 {
			sql = fmt.Sprintf("-- schemawave: no-transaction\n%sCREATE INDEX CONCURRENTLY i%[2]d ON t%[2]d (id);\n", sql, i)
		}
		dir[fmt.Sprintf("%04d_t%d.sql", i, i)] = &fstest.MapFile{Data: []byte(sql)}
	}
	return dir
}

// counted checks that the database holds exactly what countedFiles makes, each executed once.
func counted(t *testing.T, url string, n, indexes int) {
	t.Helper()
	got := query(t, url, `SELECT 'executed ' || concat_ws(' ', count(*), count(DISTINCT what), min(what), max(what)) FROM executions
UNION ALL SELECT 'tables ' || count(*) FROM pg_tables WHERE schemaname = 'public'
UNION ALL SELECT 'indexes ' || count(*) FROM pg_class WHERE relname ~ '^i\d+$'
UNION ALL SELECT 'invalid ' || count(*) FROM pg_index WHERE NOT indisvalid
UNION ALL SELECT 'applied ' || count(*) FROM schemawave.migration WHERE previous IS NOT NULL
UNION ALL SELECT 'journal ' || count(*) FROM schemawave.statement
UNION ALL SELECT 'locks ' || count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	want := fmt.Sprintf("executed %[1]d %[1]d 1 %[1]d\ntables %[2]d\nindexes %[3]d\ninvalid 0\napplied %[2]d\njournal 0\nlocks 0", n, n+1, n/indexes)
	if strings.Join(got, "\n") != want {
		t.Errorf("left:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
}

// production is a server that loses nothing but what it may lose. Its log is written so seldom that every commit that was not
// waited for is lost with an immediate stop. After a crash it has its file system write everything at once, instead of each of
// its thousands of files.
func production(t *testing.T) *postgrestest.Server {
	t.Helper()
	s, err := postgrestest.Start(t.Context(), postgrestest.Options{Settings: map[string]string{"fsync": "on", "wal_writer_delay": "10s", "wal_writer_flush_after": "1GB",
		"recovery_init_sync_method": "syncfs"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

// restarts are the ways a server goes and comes back.
var restarts = map[string]func(context.Context, *postgrestest.Server) error{
	"fast":      func(ctx context.Context, s *postgrestest.Server) error { return s.Restart(ctx, false) },
	"immediate": func(ctx context.Context, s *postgrestest.Server) error { return s.Restart(ctx, true) },
	"kill":      func(ctx context.Context, s *postgrestest.Server) error { return s.Kill(ctx) },
}

// restartAt restarts the server as soon as so many migrations are recorded, unless the run is over before. It tells how many
// there were.
func restartAt(t *testing.T, s *postgrestest.Server, url string, progress int, over <-chan struct{}, restart func(context.Context, *postgrestest.Server) error) (recorded int) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for {
		results, err := conn.Exec(t.Context(), "SELECT to_regclass('schemawave.migration') IS NOT NULL").ReadAll()
		if err == nil && string(results[0].Rows[0][0]) == "t" {
			if results, err = conn.Exec(t.Context(), "SELECT count(*) FROM schemawave.migration").ReadAll(); err == nil {
				if _, err = fmt.Sscan(string(results[0].Rows[0][0]), &recorded); err == nil && recorded >= progress {
					break
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-over:
			return recorded
		default:
		}
	}
	if err := restart(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return recorded
}

// A server that is restarted again and again in the midst of a run does not end it. What is reported as done then survives
// the next crash.
func TestServerRestartsDuringARun(t *testing.T) {
	const n = 600
	s := production(t)
	for name, restart := range restarts {
		t.Run(name, func(t *testing.T) {
			url, err := s.NewDatabase(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			cfg := config(t, url)
			cfg.Retries, cfg.MaxBackoff = 30, time.Second
			set := load(t, countedFiles(n, 50))
			var report migrations.Report
			over := make(chan struct{})
			go func() {
				defer close(over)
				report, err = postgres.Migrate(t.Context(), cfg, set)
			}()
			var at []int
			for _, progress := range []int{1, 151, 300, 451, 590} {
				at = append(at, restartAt(t, s, url, progress, over, restart))
			}
			<-over
			if err != nil {
				t.Fatalf("restarted at %v: %v", at, err)
			}
			if err := s.Kill(t.Context()); err != nil {
				t.Fatal(err)
			}
			counted(t, url, n, 50)
			if report.Outcome != migrations.OutcomeSucceeded || report.Count != n+1 {
				t.Errorf("report: %s, %d applied", report.Outcome, report.Count)
			}
			t.Logf("restarted when %v were recorded", at)
		})
	}
}

// Without retries the run fails with an exit code that says "again", and the next one goes on where the server has kept it.
// With 51 and 101 rows in the ledger, the root row among them, a migration that does not run in one transaction is under way.
// The last migration waits for a lock that the test has until the restart, so that the run is not over before.
func TestServerRestartsAndTheNextRunGoesOn(t *testing.T) {
	const n = 299
	s := production(t)
	dir := countedFiles(n, 50)
	last := dir[fmt.Sprintf("%04d_t%d.sql", n, n)]
	last.Data = append([]byte("SELECT pg_advisory_xact_lock(1);\n"), last.Data...)
	set := load(t, dir)
	for name, restart := range restarts {
		t.Run(name, func(t *testing.T) {
			for _, progress := range []int{1, 51, 101, 230} {
				url, err := s.NewDatabase(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				gate, err := pgconn.Connect(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				defer gate.Close(t.Context())
				if _, err := gate.Exec(t.Context(), "SELECT pg_advisory_lock(1)").ReadAll(); err != nil {
					t.Fatal(err)
				}
				cfg := config(t, url)
				over := make(chan struct{})
				var runErr error
				go func() {
					defer close(over)
					impatient := cfg
					impatient.Retries = -1
					_, runErr = postgres.Migrate(t.Context(), impatient, set)
				}()
				at := restartAt(t, s, url, progress, over, restart)
				<-over
				if postgres.ExitCode(runErr) != migrations.ExitUnreachable {
					t.Errorf("restarted when %d were recorded: exit %d: %v", at, postgres.ExitCode(runErr), runErr)
				}
				kept := query(t, url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
				report := migrate(t, cfg, set)
				counted(t, url, n, 50)
				t.Logf("restarted when %d were recorded, %s tables kept, %d migrations applied after it", at, kept[0], report.Count)
			}
		})
	}
}

// Where commits do not wait for the disk, what a run has reported as done survives a crash all the same.
func TestASuccessSurvivesACrashWithoutSynchronousCommit(t *testing.T) {
	s := production(t)
	url, err := s.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	query(t, url, "ALTER DATABASE "+databaseName(t, url)+" SET synchronous_commit = off")
	cfg := config(t, url)
	for n := range 5 {
		report := migrate(t, cfg, load(t, numbered(10*(n+1))))
		if err := s.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := recorded(t, cfg); report.Count != 10 || len(got) != 10*(n+1) {
			t.Fatalf("%d applied, then %d recorded", report.Count, len(got))
		}
	}
}
