package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

const (
	invalidIndexes  = "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid ORDER BY 1"
	rebuildsWaiting = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots' AND datname = current_database()"
)

// interruptReindex cancels a migration's REINDEX while it waits for an old snapshot, and returns the copies it has left.
func interruptReindex(t *testing.T, url string, cfg postgres.Config, set migrations.Set) []string {
	t.Helper()
	end := holdSnapshot(t, url, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1")
	defer end()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.LockTimeout = -1
	done := make(chan error, 1)
	go func() {
		_, err := postgres.Migrate(ctx, cfg, set)
		done <- err
	}()
	eventually(t, url, rebuildsWaiting, "1")
	cancel()
	if err := <-done; postgres.ExitCode(err) != migrations.ExitBusy {
		t.Fatalf("first: %v", err)
	}
	left := query(t, url, invalidIndexes)
	if len(left) == 0 {
		t.Fatal("the interrupted attempt left nothing to look for")
	}
	return left
}

// What REINDEX CONCURRENTLY rebuilds beside the table's own indexes leaves copies, too, when it is interrupted: the index of
// the TOAST table, those of partitions, those of a schema's tables.
func TestInterruptedReindexLeavesNothingAnywhere(t *testing.T) {
	for name, c := range map[string]struct{ before, sql string }{
		"TOAST":       {"CREATE TABLE d (v text)", "REINDEX TABLE CONCURRENTLY d"},
		"partitions":  {"CREATE TABLE d (v int) PARTITION BY LIST (v); CREATE TABLE d_1 PARTITION OF d FOR VALUES IN (1)", "REINDEX TABLE CONCURRENTLY d"},
		"partitioned": {"CREATE TABLE d (v int) PARTITION BY LIST (v); CREATE TABLE d_1 PARTITION OF d FOR VALUES IN (1)", "REINDEX INDEX CONCURRENTLY i"},
		"sub-partitions' TOAST": {"CREATE TABLE d (v text) PARTITION BY LIST (v); CREATE TABLE d_1 PARTITION OF d DEFAULT PARTITION BY LIST (v); CREATE TABLE d_1_1 PARTITION OF d_1 DEFAULT",
			"REINDEX (CONCURRENTLY) TABLE d"},
		"schema":   {"CREATE TABLE d (v int)", "REINDEX SCHEMA CONCURRENTLY public"},
		"database": {"CREATE TABLE d (v text)", "REINDEX DATABASE CONCURRENTLY %s"},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			query(t, url, c.before+"; INSERT INTO d VALUES (1); CREATE INDEX i ON d (v)")
			sql := strings.Replace(c.sql, "%s", databaseName(t, url), 1)
			cfg, set := config(t, url), load(t, files("1_x.sql", sql))
			left := interruptReindex(t, url, cfg, set)
			migrate(t, cfg, set)
			if got := query(t, url, invalidIndexes); len(got) != 0 {
				t.Errorf("left: %v of %v", got, left)
			}
		})
	}
}

// A REINDEX that gives up while it waits for an old snapshot, as the file's own settings want it to, is tried again. Each attempt
// drops the copies of the one before it, and the first one after the snapshot's end succeeds.
func TestReindexIsTriedUntilTheSnapshotEnds(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE TABLE d (v int) PARTITION BY LIST (v); CREATE TABLE d_1 PARTITION OF d DEFAULT; CREATE INDEX i ON d (v)")
	end := holdSnapshot(t, url, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1")
	cfg := config(t, url)
	cfg.Retries = 1000
	failed := 0
	cfg.Logger = slog.New(attempts{slog.DiscardHandler, func() {
		if got := query(t, url, invalidIndexes); len(got) > 1 {
			t.Errorf("copies of several attempts: %v", got)
		}
		if failed++; failed == 4 {
			end()
		}
	}})
	migrate(t, cfg, load(t, files("1_x.sql", "SET lock_timeout TO '100ms';\nREINDEX TABLE CONCURRENTLY d")))
	if failed < 4 {
		t.Errorf("%d attempts gave up, want 4 at least", failed)
	}
	if got := query(t, url, invalidIndexes); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// A REINDEX of partitions that gives up, as the file's own settings want it to, goes on with the partition that it had come to.
func TestReindexOfPartitionsGoesOnWhereItGaveUp(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE TABLE d (v int) PARTITION BY LIST (v); CREATE TABLE d_1 PARTITION OF d FOR VALUES IN (1); CREATE TABLE d_2 PARTITION OF d DEFAULT; CREATE INDEX i ON d (v)")
	end := holdSnapshot(t, url, "LOCK TABLE d_2 IN SHARE UPDATE EXCLUSIVE MODE")
	files1 := func() string { return query(t, url, "SELECT pg_relation_filenode('d_1_v_idx')")[0] }
	before := files1()
	cfg := config(t, url)
	cfg.Retries = 1000
	var seen []string
	cfg.Logger = slog.New(attempts{slog.DiscardHandler, func() {
		if seen = append(seen, files1()); len(seen) == 3 {
			end()
		}
	}})
	migrate(t, cfg, load(t, files("1_x.sql", "SET lock_timeout TO '100ms';\nREINDEX TABLE CONCURRENTLY d")))
	seen = append(seen, files1())
	if slices.Contains(seen, before) || len(slices.Compact(seen)) != 1 {
		t.Errorf("the first partition's index was in file %s, after each attempt in %v", before, seen)
	}
	if got := query(t, url, invalidIndexes); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// A REINDEX of partitions whose connection breaks goes on with the partition that it had come to.
func TestReindexOfPartitionsGoesOnWhereTheConnectionBroke(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE TABLE d (v int) PARTITION BY LIST (v); CREATE TABLE d_1 PARTITION OF d FOR VALUES IN (1); CREATE TABLE d_2 PARTITION OF d DEFAULT; CREATE INDEX i ON d (v)")
	filenodes := func() []string {
		return query(t, url, "SELECT pg_relation_filenode('d_1_v_idx') UNION ALL SELECT pg_relation_filenode('d_2_v_idx')")
	}
	before := filenodes()
	var atBreak []string
	cfg := config(t, url)
	w := &wire{breakAt: func(b []byte) bool {
		if atBreak != nil || !bytes.Contains(b, []byte("REINDEX TABLE CONCURRENTLY public.d_2")) {
			return false
		}
		atBreak = filenodes()
		return true
	}}
	w.tap(&cfg)
	migrate(t, cfg, load(t, files("1_x.sql", "REINDEX TABLE CONCURRENTLY d")))
	after := filenodes()
	if atBreak == nil || atBreak[0] == before[0] || after[0] != atBreak[0] || after[1] == before[1] {
		t.Errorf("the indexes were in files %v, when the connection broke in %v, and are in %v", before, atBreak, after)
	}
}

// Copies that another session's REINDEX is building are not taken for leftovers: not even those of the tables that
// pg_stat_progress_create_index does not name at the moment.
func TestAnotherSessionsReindexIsNoLeftover(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE TABLE d (v int); CREATE INDEX i ON d (v); CREATE TABLE e (v text); CREATE INDEX j ON e (v); CREATE INDEX k ON e (v)")
	set := load(t, files("1_x.sql", "REINDEX SCHEMA CONCURRENTLY public"))
	cfg := config(t, url)
	if left := interruptReindex(t, url, cfg, set); !slices.Equal(left, []string{"i_ccnew"}) {
		t.Fatalf("left: %v", left)
	}
	end := holdSnapshot(t, url, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1")
	other, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	rebuilt, done := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := other.Exec(t.Context(), "REINDEX TABLE CONCURRENTLY e").ReadAll()
		rebuilt <- err
	}()
	eventually(t, url, rebuildsWaiting, "1")

	var log strings.Builder
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := postgres.Migrate(ctx, cfg, set)
		done <- err
	}()
	eventually(t, url, rebuildsWaiting, "2")
	cancel() // before it comes to e: it would wait for the other session, and that for its snapshot
	<-done
	if got := strings.Count(log.String(), "dropping"); got != 1 || !strings.Contains(log.String(), "public.i_ccnew") {
		t.Errorf("%d indexes were dropped:\n%s", got, log.String())
	}
	end()
	if err := <-rebuilt; err != nil {
		t.Error(err)
	}
}

// A table's owner may rebuild the index of its TOAST table but not drop a copy of it (schema pg_toast is closed to all but
// superusers). The migration is completed all the same, and the log says what is left.
func TestOwnerCannotDropTheCopyOfATOASTIndex(t *testing.T) {
	url := freshURL(t)
	role := "toasts_" + databaseName(t, url)
	query(t, url, fmt.Sprintf("CREATE ROLE %[1]s LOGIN; GRANT CREATE ON DATABASE %[2]s TO %[1]s; CREATE TABLE d (v text); ALTER TABLE d OWNER TO %[1]s", role, databaseName(t, url)))
	cfg, set := config(t, url), load(t, files("1_x.sql", "REINDEX TABLE CONCURRENTLY d"))
	cfg.Conn.User = role
	left := interruptReindex(t, url, cfg, set)
	var log strings.Builder
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	migrate(t, cfg, set)
	if got := query(t, url, invalidIndexes); !slices.Equal(got, left) || !strings.Contains(log.String(), "DROP INDEX CONCURRENTLY "+left[0]) {
		t.Errorf("left: %v of %v:\n%s", got, left, log.String())
	}
	query(t, url, "DROP INDEX CONCURRENTLY "+left[0]) // the advice is right
}
