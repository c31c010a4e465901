package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations/postgres"
)

// waitingRun is a migration that waits on the server for something another session holds, or for nothing at all.
type waitingRun struct {
	name   string
	hold   string // what the other session does in its transaction
	sql    string
	waits  string // how it shows that the statement waits
	landed string // tells what would be there had the statement been carried out
}

// waitingRuns are the ways a statement can be waiting. Table d is there. The lock timeout is none.
var waitingRuns = []waitingRun{
	{"queued for a lock", "SELECT FROM d", "CREATE TABLE a (v int); ALTER TABLE d ADD w int", "wait_event_type = 'Lock'",
		"SELECT attname FROM pg_attribute WHERE attrelid = 'd'::regclass AND attname = 'w' UNION ALL SELECT relname FROM pg_class WHERE relname = 'a'"},
	{"slow", "", "INSERT INTO d VALUES (7); SELECT pg_sleep(600)", "wait_event = 'PgSleep'", "SELECT v FROM d WHERE v = 7"},
	{"slow, step by step", "", "-- schemawave: no-transaction\nINSERT INTO d SELECT 7 FROM pg_sleep(600)", "wait_event = 'PgSleep'", "SELECT v FROM d WHERE v = 7"},
	{"slow, committing itself", "", "-- schemawave: no-transaction\nDO $$ BEGIN PERFORM pg_sleep(600); INSERT INTO d VALUES (7); COMMIT; END $$", "wait_event = 'PgSleep'", "SELECT v FROM d WHERE v = 7"},
	{"building an index", "INSERT INTO d VALUES (3)", "CREATE INDEX CONCURRENTLY i ON d (v)", "wait_event = 'virtualxid'",
		"SELECT indexrelid::regclass FROM pg_index WHERE indexrelid = to_regclass('i') AND indisvalid"},
}

// start sets the table and the other session up, and runs what is to wait. It returns when the server waits.
func (w waitingRun) start(t *testing.T, run func(url string)) (url string, release func()) {
	t.Helper()
	url = freshURL(t)
	query(t, url, setup)
	release = func() {}
	if w.hold != "" {
		release = holdSnapshot(t, url, w.hold)
	}
	run(url)
	eventually(t, url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'schemawave/%' AND "+w.waits, "1")
	return url, release
}

// files are the migration that waits and two that would follow it.
func (w waitingRun) files() fstest.MapFS {
	return fstest.MapFS{"0001_first.sql": {Data: []byte("CREATE TABLE first (v int);")}, "0002_waits.sql": {Data: []byte(w.sql)},
		"0003_after.sql": {Data: []byte("CREATE TABLE after_it (v int);")}}
}

const runnersSQL = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'schemawave/%'"

// ended checks that the runner's session goes while the other session still holds what it waited for, and that nothing of
// its statement is there then, or after.
func (w waitingRun) ended(t *testing.T, url string, release func()) {
	t.Helper()
	began := time.Now()
	eventually(t, url, runnersSQL, "0")
	t.Logf("the session was gone after %v", time.Since(began).Round(time.Millisecond))
	release()
	const followers = "SELECT relname FROM pg_class WHERE relname = 'after_it' UNION ALL SELECT version FROM schemawave.migration WHERE version NOT IN ('', '1')"
	for _, sql := range []string{w.landed, followers} {
		if got := query(t, url, sql); len(got) != 0 {
			t.Errorf("landed although its runner was gone: %v", got)
		}
	}
	if got := query(t, url, locksHeld); got[0] != "0" {
		t.Errorf("%s locks are held", got[0])
	}
}

// Nothing that a killed runner has sent is carried out once the server has noticed, which it does while it waits.
func TestNoStatementOutlivesItsRunner(t *testing.T) {
	for _, w := range waitingRuns {
		t.Run(w.name, func(t *testing.T) {
			root := onDisk(t, w.files())
			var kill func()
			url, release := w.start(t, func(url string) {
				cmd := runnerProcess(t, url+"&lock_timeout=0", root)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				kill = func() {
					cmd.Process.Kill()
					cmd.Wait()
				}
			})
			kill()
			w.ended(t, url, release)
		})
	}
}

// Cancelling ends the statement on the server, and not only the wait for it.
func TestCancellingEndsTheStatement(t *testing.T) {
	for _, w := range waitingRuns {
		t.Run(w.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			set := load(t, w.files())
			done := make(chan error, 1)
			url, release := w.start(t, func(url string) {
				cfg := config(t, url)
				cfg.LockTimeout = -1
				go func() {
					_, err := postgres.Migrate(ctx, cfg, set)
					done <- err
				}()
			})
			began := time.Now()
			cancel()
			if err := <-done; err == nil {
				t.Error("a cancelled run succeeded")
			}
			t.Logf("cancelled after %v", time.Since(began).Round(time.Millisecond))
			w.ended(t, url, release)
		})
	}
}

// bystander uses a table again and again and keeps count.
type bystander struct {
	times   atomic.Int64
	longest atomic.Int64 // nanoseconds that one statement took
}

func (b *bystander) start(t *testing.T, url, sql string) (stop func()) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer conn.Close(context.WithoutCancel(ctx))
		for ctx.Err() == nil {
			began := time.Now()
			if _, err := conn.Exec(context.WithoutCancel(ctx), sql).ReadAll(); err != nil {
				t.Errorf("%s: %v", sql, err)
				return
			}
			b.longest.Store(max(b.longest.Load(), int64(time.Since(began))))
			b.times.Add(1)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// attempts hears from the log of every attempt that failed for a lock.
type attempts struct {
	slog.Handler
	failed func()
}

func (a attempts) Enabled(context.Context, slog.Level) bool { return true }

func (a attempts) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(at slog.Attr) bool {
		if strings.Contains(at.Value.String(), "55P03") {
			a.failed()
			return false
		}
		return true
	})
	return nil
}

func (a attempts) WithAttrs([]slog.Attr) slog.Handler { return a }

// While a migration cannot get its lock, those who use the table go on: it holds them up for no longer than its lock timeout
// at a time.
func TestAQueuedMigrationLetsOthersThrough(t *testing.T) {
	const lockTimeout, attemptsWanted = 300 * time.Millisecond, 5
	for name, c := range map[string]struct{ before, hold, sql, use string }{
		"transactional": {"", "SELECT FROM d", "SELECT 1;\nALTER TABLE d ADD w int;", "SELECT count(*) FROM d"},
		"step by step":  {"", "SELECT FROM d", "-- schemawave: no-transaction\nALTER TABLE d ADD w int;", "SELECT count(*) FROM d"},
		"on its own":    {"", "SELECT FROM d", "VACUUM FULL d;", "SELECT count(*) FROM d"},
		"detaching a partition": {"CREATE TABLE p (v int) PARTITION BY LIST (v); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);",
			"SELECT FROM p1", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;", "SELECT count(*) FROM p1"},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			query(t, url, setup+c.before)
			release := holdSnapshot(t, url, c.hold)
			var b bystander
			defer b.start(t, url, c.use)()
			var times []int64 // of use, when an attempt gave up
			enough := make(chan struct{})
			cfg := config(t, url)
			cfg.LockTimeout, cfg.Retries, cfg.Deadline = lockTimeout, 1000, 20*time.Second
			cfg.Logger = slog.New(attempts{slog.DiscardHandler, func() {
				if times = append(times, b.times.Load()); len(times) == attemptsWanted {
					close(enough)
				}
			}})
			done := make(chan error, 1)
			set := load(t, files("1_x.sql", c.sql))
			go func() {
				_, err := postgres.Migrate(t.Context(), cfg, set)
				done <- err
			}()
			var err error
			select {
			case <-enough:
				release()
				err = <-done
			case err = <-done:
			}
			if err != nil {
				t.Errorf("%v", err)
			}
			if len(times) < attemptsWanted {
				t.Errorf("%d attempts gave up their place in the queue, want %d", len(times), attemptsWanted)
			}
			for i := 1; i < len(times); i++ {
				if times[i] <= times[i-1] {
					t.Errorf("nobody got through between attempts %d and %d", i, i+1)
				}
			}
			longest := time.Duration(b.longest.Load())
			if longest > 10*lockTimeout {
				t.Errorf("the table could not be used for %v, the lock timeout is %v", longest, lockTimeout)
			}
			t.Logf("used %d times during %d attempts; the longest wait was %v", b.times.Load(), len(times), longest.Round(time.Millisecond))
		})
	}
}

// Writers never queue behind the rebuilding of partitions' indexes, however long it waits.
func TestRebuildingPartitionsHoldsUpNobody(t *testing.T) {
	for _, sql := range []string{"REINDEX TABLE CONCURRENTLY p", "REINDEX (CONCURRENTLY) INDEX public.p_pkey"} {
		t.Run(sql, func(t *testing.T) {
			url := freshURL(t)
			query(t, url, "CREATE TABLE p (v int PRIMARY KEY) PARTITION BY LIST (v); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);")
			release := holdSnapshot(t, url, "INSERT INTO p VALUES (1)")
			var b bystander
			defer b.start(t, url, "DELETE FROM p1 WHERE v = 2")()
			cfg := config(t, url)
			cfg.LockTimeout, cfg.Retries = 50*time.Millisecond, -1
			set := load(t, files("1_x.sql", sql))
			done := make(chan error, 1)
			go func() {
				_, err := postgres.Migrate(t.Context(), cfg, set)
				done <- err
			}()
			eventually(t, url, runnersSQL+" AND wait_event = 'virtualxid'", "1")
			for enough := b.times.Load() + 100; b.times.Load() < enough; {
				time.Sleep(10 * time.Millisecond)
			}
			release()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
