package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// heard calls a function when a message is logged.
type heard struct {
	slog.Handler
	message string
	then    func()
}

func (h heard) Enabled(context.Context, slog.Level) bool { return true }

func (h heard) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		h.then()
	}
	return nil
}

func (h heard) WithAttrs([]slog.Attr) slog.Handler { return h }

// A statement that would stand in others' way while it waits for older transactions is not begun before they have ended. That they
// are another role's makes no difference.
func TestOlderTransactionsAreOutwaited(t *testing.T) {
	t.Parallel() // it waits more than it works
	const inRepeatableRead = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1"
	for name, c := range map[string]struct {
		before, hold, sql string
		meanwhile         string // what is the same as before while it waits
		after             string // what is true in the end
	}{
		"detaching a partition": {"", "SELECT FROM p", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
			"SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'p1'::regclass", "SELECT NOT relispartition FROM pg_class WHERE oid = 'p1'::regclass"},
		"finishing it": {"UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'p1'::regclass", inRepeatableRead, "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
			"SELECT count(*) FROM p1", "SELECT NOT relispartition FROM pg_class WHERE oid = 'p1'::regclass"},
		"rebuilding the indexes of others' partitions": {"ALTER TABLE p1 OWNER TO postgres", inRepeatableRead, "REINDEX TABLE CONCURRENTLY p",
			"SELECT pg_relation_filenode('p1_v_idx')", "SELECT count(*) = 0 FROM pg_index WHERE NOT indisvalid"},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			role := "owner_" + databaseName(t, url)
			query(t, url, fmt.Sprintf(`CREATE ROLE %[1]s LOGIN; GRANT CREATE ON DATABASE %[2]s TO %[1]s; GRANT ALL ON SCHEMA public TO %[1]s; SET ROLE %[1]s;
CREATE TABLE p (v int) PARTITION BY LIST (v); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE INDEX i ON p (v)`, role, databaseName(t, url)))
			if c.before != "" {
				query(t, url, "SET allow_system_table_mods TO on; "+c.before)
			}
			release := holdSnapshot(t, url, c.hold)
			waits, done := make(chan struct{}), make(chan error, 1)
			cfg := config(t, url)
			cfg.Conn.User = role
			cfg.LockTimeout, cfg.Retries, cfg.Deadline = 100*time.Millisecond, -1, time.Minute
			cfg.Logger = slog.New(heard{slog.DiscardHandler, "waiting for older transactions to end", func() { close(waits) }})
			old, set := query(t, url, c.meanwhile)[0], load(t, files("1_x.sql", c.sql))
			go func() {
				_, err := postgres.Migrate(t.Context(), cfg, set)
				done <- err
			}()
			select {
			case <-waits:
			case err := <-done:
				t.Fatalf("it did not wait: %v", err)
			}
			for range 5 { // several of its looks
				if got := query(t, url, "SET lock_timeout TO '10s'; "+c.meanwhile)[0]; got != old {
					t.Errorf("meanwhile: %s, before: %s", got, old)
				}
				time.Sleep(2 * cfg.LockTimeout)
			}
			release()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if got := query(t, url, c.after)[0]; got != "t" {
				t.Errorf("%s: %s", c.after, got)
			}
		})
	}
}

// Once the statement timeout has passed, the statement is tried, and tells what is in its way.
func TestOutwaitingEndsWithTheStatementTimeout(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE TABLE p (v int) PARTITION BY LIST (v); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)")
	holdSnapshot(t, url, "SELECT FROM p")
	cfg := config(t, url)
	cfg.StatementTimeout, cfg.Retries = 200*time.Millisecond, -1
	report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_x.sql", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY")))
	if postgres.ExitCode(err) != migrations.ExitBusy || report.Failure.Line != 1 {
		t.Errorf("%+v", report.Failure)
	}
}
