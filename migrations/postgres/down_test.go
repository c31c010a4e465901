package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// reversible makes n migrations that each create a table t1, t2, … and can drop it.
func reversible(n int) fstest.MapFS {
	dir := fstest.MapFS{}
	for i := 1; i <= n; i++ {
		dir[fmt.Sprintf("%d_t%d.up.sql", i, i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "CREATE TABLE t%d (id int)", i)}
		dir[fmt.Sprintf("%d_t%d.down.sql", i, i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "-- back\nDROP TABLE t%d; -- gone", i)}
	}
	return dir
}

func tables(t *testing.T, url string) string {
	t.Helper()
	return strings.Join(query(t, url, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"), " ")
}

func TestDown(t *testing.T) {
	url := freshURL(t)
	for name, conn := range map[string]string{"direct": url, "pooler": pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url))} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, conn)
			set := load(t, reversible(4))
			migrate(t, cfg, set)
			got, err := postgres.Down(t.Context(), cfg, "2")
			if err != nil || got.From != "4" || got.To != "2" || !slices.Equal(got.Versions, []migrations.Version{"4", "3"}) {
				t.Fatalf("%+v, %v", got, err)
			}
			if seen := tables(t, url); seen != "t1 t2" {
				t.Errorf("tables %s", seen)
			}
			older, err := set.Upto("2")
			if err != nil {
				t.Fatal(err)
			}
			run := query(t, url, "SELECT outcome, digest, finished IS NOT NULL FROM schemawave.run WHERE id = '"+got.Run+"'")
			if want := "succeeded|" + older.Digest() + "|t"; len(run) != 1 || run[0] != want {
				t.Errorf("run %v, want %s", run, want)
			}
			isOneQuery(t, cfg, older) // what the older image does
			if got, err := postgres.Down(t.Context(), cfg, "2"); err != nil || len(got.Versions) != 0 || got.To != "2" || got.Run != "" {
				t.Errorf("again: %+v, %v", got, err)
			}
			if report := migrate(t, cfg, set); report.From != "2" || report.Count != 2 {
				t.Errorf("up again: %+v", report)
			}
			isOneQuery(t, cfg, set)
			if got, err := postgres.Down(t.Context(), cfg, ""); err != nil || got.To != "" || len(got.Versions) != 4 {
				t.Errorf("everything: %+v, %v", got, err)
			}
			if seen := tables(t, url); seen != "" {
				t.Errorf("tables %s", seen)
			}
		})
	}
}

// What repeatable files have made may go with what it stands on.
func TestDownPutsRepeatablesOutOfForce(t *testing.T) {
	url := freshURL(t)
	for name, conn := range map[string]string{"direct": url, "pooler": pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url))} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, conn)
			set := load(t, files("V1__a.sql", "CREATE TABLE a (id int)", "U1__a.sql", "DROP TABLE a", "V2__x.sql", "CREATE TABLE x (id int)", "U2__x.sql", "DROP TABLE x CASCADE",
				"R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT id FROM x", "R__w.sql", "CREATE OR REPLACE VIEW w AS SELECT 1"))
			migrate(t, cfg, set)
			if _, err := postgres.Down(t.Context(), cfg, "1"); err != nil {
				t.Fatal(err)
			}
			preview, err := postgres.PreviewMigrate(t.Context(), cfg, set)
			if err != nil || len(preview.Plan.Repeat) != 2 {
				t.Errorf("to repeat: %d, %v", len(preview.Plan.Repeat), err)
			}
			if report := migrate(t, cfg, set); report.Count != 3 || !slices.Equal(report.Repeated, []string{"v", "w"}) {
				t.Errorf("up again: %+v", report)
			}
			if got := query(t, url, "SELECT to_regclass('v') IS NOT NULL"); got[0] != "t" {
				t.Error("no view")
			}
			isOneQuery(t, cfg, set)

			if _, err := postgres.Down(t.Context(), cfg, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := postgres.Baseline(t.Context(), cfg, set, "1"); err != nil {
				t.Errorf("a new history: %v", err)
			}
			query(t, url, "DROP VIEW w; DROP SCHEMA schemawave CASCADE")
		})
	}
}

// The same of a down script that cannot run in a transaction; other tenants' are left alone.
func TestDownOfOneTenantPutsItsRepeatablesOutOfForce(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE SCHEMA acme; CREATE SCHEMA globex")
	set := load(t, files("V1__a.sql", "CREATE TABLE a (id int)", "U1__a.sql", "DROP TABLE a", "V2__i.sql", "CREATE INDEX i ON a (id)", "U2__i.sql", "DROP INDEX CONCURRENTLY i",
		"R__w.sql", "CREATE OR REPLACE VIEW w AS SELECT 1"))
	acme, globex := config(t, url), config(t, url)
	acme.Tenant, globex.Tenant = "acme", "globex"
	migrate(t, acme, set)
	migrate(t, globex, set)
	if _, err := postgres.Down(t.Context(), acme, "1"); err != nil {
		t.Fatal(err)
	}
	if report := migrate(t, acme, set); report.Count != 2 {
		t.Errorf("%+v", report)
	}
	if report := migrate(t, globex, set); report.Outcome != migrations.OutcomeCurrent {
		t.Errorf("the other: %+v", report)
	}
}

func TestDownStopsWhereAScriptFails(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	dir := reversible(3)
	dir["2_t2.down.sql"].Data = []byte("DROP TABLE t2;\n\n  DROP TABLE 'hunter2';")
	migrate(t, cfg, load(t, dir))
	got, err := postgres.Down(t.Context(), cfg, "")
	var e *postgres.Error
	if !errors.As(err, &e) || e.Failure.File != "version 2's down script" || e.Failure.Line != 3 || e.Failure.Column != 14 || e.Failure.SQLState != "42601" || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if got.To != "2" || !slices.Equal(got.Versions, []migrations.Version{"3"}) || tables(t, url) != "t1 t2" || !slices.Equal(recorded(t, cfg), []string{"1", "2"}) {
		t.Errorf("%+v; tables %s", got, tables(t, url))
	}
	if run := query(t, url, "SELECT outcome, error ->> 'line' FROM schemawave.run WHERE id = '"+got.Run+"'"); len(run) != 1 || run[0] != "failed|3" {
		t.Errorf("run %v", run)
	}
	dir["2_t2.down.sql"].Data = []byte("DROP TABLE t2")
	if _, err := postgres.Repair(t.Context(), cfg, load(t, dir)); err != nil {
		t.Fatal(err)
	}
	if got, err := postgres.Down(t.Context(), cfg, ""); err != nil || len(got.Versions) != 2 {
		t.Errorf("with the script mended: %+v, %v", got, err)
	}
}

// Nothing is run if any of it cannot be.
func TestDownIsRefused(t *testing.T) {
	const up = "SELECT 1"
	for name, test := range map[string]struct {
		files  []string
		target migrations.Version
		code   migrations.ExitCode
		says   []string
	}{
		"no script": {[]string{"1_a.up.sql", up, "2_b.up.sql", up, "2_b.down.sql", up, "3_c.up.sql", up, "4_d.up.sql", up, "4_d.down.sql", up}, "", migrations.ExitRejected,
			[]string{"version 1 (a)", "version 3 (c)", "schemawave repair"}},
		"no such version": {[]string{"1_a.up.sql", up, "2_b.up.sql", up}, "3", migrations.ExitConfig, []string{"version 3 is not applied", "2, 1"}},
		"a transaction of its own": {[]string{"1_a.up.sql", up, "1_a.down.sql", "BEGIN;\nSELECT 1;\nCOMMIT;"}, "", migrations.ExitRejected,
			[]string{"version 1's down script:1: BEGIN", "version 1's down script:3: COMMIT", "delete it"}},
		"statements of both kinds": {[]string{"1_a.up.sql", up, "1_a.down.sql", "SELECT 1;\nDROP INDEX CONCURRENTLY i"}, "", migrations.ExitRejected,
			[]string{"version 1's down script:2: DROP INDEX CONCURRENTLY", "another migration"}},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			migrate(t, cfg, load(t, files(test.files...)))
			before := recorded(t, cfg)
			_, err := postgres.Down(t.Context(), cfg, test.target)
			if postgres.ExitCode(err) != test.code {
				t.Fatalf("exit code %d: %v", postgres.ExitCode(err), err)
			}
			for _, says := range test.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q is not in: %v", says, err)
				}
			}
			if !slices.Equal(recorded(t, cfg), before) || query(t, url, "SELECT count(*) FROM schemawave.run")[0] != "1" {
				t.Error("something was done")
			}
		})
	}
}

func TestDownWithoutALedger(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	if _, err := postgres.Down(t.Context(), cfg, "1"); postgres.ExitCode(err) != migrations.ExitConfig {
		t.Error(err)
	}
	if got, err := postgres.Down(t.Context(), cfg, ""); err != nil || len(got.Versions) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if got := query(t, url, "SELECT to_regnamespace('schemawave') IS NULL"); got[0] != "t" {
		t.Error("a ledger was made")
	}
}

// The order is that of application, and nothing at or below the target is taken back.
func TestDownOfMigrationsThatCameLate(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	cfg.OutOfOrder = migrations.OutOfOrderApply
	dir := reversible(4)
	late := fstest.MapFS{}
	for name, file := range dir {
		if !strings.HasPrefix(name, "2_") {
			late[name] = file
		}
	}
	migrate(t, cfg, load(t, late))
	migrate(t, cfg, load(t, dir))
	if got := recorded(t, cfg); !slices.Equal(got, []string{"1", "3", "4", "2"}) {
		t.Fatal(got)
	}
	if _, err := postgres.Down(t.Context(), cfg, "3"); postgres.ExitCode(err) != migrations.ExitRejected || !strings.Contains(err.Error(), "version 2 was applied after 4") {
		t.Errorf("%v", err)
	}
	if got, err := postgres.Down(t.Context(), cfg, "1"); err != nil || !slices.Equal(got.Versions, []migrations.Version{"2", "4", "3"}) || got.From != "4" || got.To != "1" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDownOutsideATransaction(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	set := load(t, files("1_a.up.sql", "CREATE TABLE a (id int); CREATE INDEX one ON a (id); CREATE INDEX two ON a (id)", "1_a.down.sql", "DROP TABLE a",
		"2_b.up.sql", "DROP INDEX CONCURRENTLY one; DROP INDEX CONCURRENTLY two;",
		"2_b.down.sql", "SET work_mem TO '5MB';\nCREATE INDEX CONCURRENTLY one ON a (id);\nCREATE INDEX CONCURRENTLY two ON b (id);"))
	migrate(t, cfg, set)
	_, err := postgres.Down(t.Context(), cfg, "1")
	var e *postgres.Error
	if !errors.As(err, &e) || e.Failure.File != "version 2's down script" || e.Failure.Line != 3 || e.Failure.SQLState != "42P01" {
		t.Fatalf("%v", err)
	}
	if history, err := postgres.Status(t.Context(), cfg); err != nil || len(history.Migrations) != 2 || !slices.Equal(history.Unfinished, []string{"U__2"}) {
		t.Errorf("%+v, %v", history, err)
	}
	older, err := set.Upto("1")
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]migrations.Set{"the same files": set, "older ones": older, "newer ones": load(t, files("1_a.up.sql", set.Migrations[0].Up.SQL, "2_b.up.sql", set.Migrations[1].Up.SQL, "3_c.up.sql", "SELECT 1"))} {
		report, err := postgres.Migrate(t.Context(), cfg, set)
		if postgres.ExitCode(err) != migrations.ExitRejected || !strings.Contains(report.Failure.Message, "version 2 is half reverted") || !strings.Contains(report.Failure.Hint, "schemawave down") {
			t.Errorf("migrating with %s: %v", name, err)
		}
		if _, err := postgres.PreviewMigrate(t.Context(), cfg, set); postgres.ExitCode(err) != migrations.ExitRejected {
			t.Errorf("a plan with %s: %v", name, err)
		}
	}
	query(t, url, "CREATE TABLE b (id int)")
	if got, err := postgres.Down(t.Context(), cfg, "1"); err != nil || got.To != "1" {
		t.Errorf("%+v, %v", got, err)
	}
	if got := query(t, url, "SELECT count(*) FROM pg_index WHERE indexrelid IN ('one'::regclass, 'two'::regclass) AND indisvalid"); got[0] != "2" {
		t.Errorf("%s valid indexes", got[0])
	}
	if history, err := postgres.Status(t.Context(), cfg); err != nil || len(history.Migrations) != 1 || len(history.Unfinished) != 0 {
		t.Errorf("%+v, %v", history, err)
	}
}

// A down script of one statement that only the server knows to need no transaction runs without one; and if it was carried out
// before the connection broke, the next Down does not carry it out again.
func TestDownNeedsNoTransactionAfterAll(t *testing.T) {
	publisher, err := postgrestest.Start(t.Context(), postgrestest.Options{Settings: map[string]string{"wal_level": "logical"}})
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Stop()
	query(t, publisher.URL("postgres"), "CREATE PUBLICATION p")
	url := freshURL(t)
	subscription := "s_" + databaseName(t, url)
	set := load(t, files("1_s.up.sql", fmt.Sprintf("CREATE SUBSCRIPTION %s CONNECTION '%s' PUBLICATION p", subscription, publisher.URL("postgres")), "1_s.down.sql", "DROP SUBSCRIPTION "+subscription))
	cfg := config(t, url)
	migrate(t, cfg, set)
	if got, err := postgres.Down(t.Context(), cfg, ""); err != nil || len(got.Versions) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	migrate(t, cfg, set)
	broken := cfg
	broken.Conn = cfg.Conn.Copy()
	w := &wire{breakAt: func(b []byte) bool { return strings.Contains(string(b), `"statement" SET finished`) }}
	w.tap(&broken)
	if _, err := postgres.Down(t.Context(), broken, ""); postgres.ExitCode(err) != migrations.ExitUnreachable {
		t.Errorf("%v", err)
	}
	if got, err := postgres.Down(t.Context(), cfg, ""); err != nil || len(got.Versions) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if got := query(t, url, "SELECT subname FROM pg_subscription WHERE subname = '"+subscription+"' UNION ALL SELECT migration FROM schemawave.statement"); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// What a half-applied migration builds on is not taken away under it.
func TestDownUnderAHalfAppliedMigration(t *testing.T) {
	for name, test := range map[string]struct {
		second string
		code   migrations.ExitCode
	}{
		"a statement has run": {"-- schemawave: no-transaction\nCREATE INDEX CONCURRENTLY i ON a (id);\nSELECT no_such_function();", migrations.ExitRejected},
		"none has":            {"CREATE INDEX CONCURRENTLY i ON a (no_such_column);", migrations.ExitDone},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, freshURL(t))
			dir := files("1_a.up.sql", "CREATE TABLE a (id int)", "1_a.down.sql", "DROP TABLE a", "2_b.up.sql", test.second)
			if report, err := postgres.Migrate(t.Context(), cfg, load(t, dir)); err == nil || report.To != "1" {
				t.Fatalf("%+v, %v", report, err)
			}
			if _, err := postgres.Down(t.Context(), cfg, ""); postgres.ExitCode(err) != test.code || err != nil && !strings.Contains(err.Error(), "migration 2 is half applied") {
				t.Errorf("%v", err)
			}
		})
	}
}

// Many at once take each migration back once.
func TestDownsAtOnce(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	migrate(t, cfg, load(t, reversible(8)))
	var mu sync.Mutex
	var all []migrations.Version
	var work sync.WaitGroup
	for range 6 {
		work.Go(func() {
			got, err := postgres.Down(t.Context(), cfg, "1")
			if err != nil || got.To != "1" {
				t.Errorf("%+v, %v", got, err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got.Versions...)
		})
	}
	work.Wait()
	if !slices.Equal(all, []migrations.Version{"8", "7", "6", "5", "4", "3", "2"}) {
		t.Errorf("reverted %v", all)
	}
}

// A connection that breaks as a script is sent, or just after, leaves the schema and the ledger in step.
func TestDownOverABreakingConnection(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			migrate(t, cfg, load(t, reversible(3)))
			w := &wire{breakAfter: after, breakAt: func(b []byte) bool { return strings.Contains(string(b), "DROP TABLE t2") }}
			broken := cfg
			broken.Conn = cfg.Conn.Copy()
			w.tap(&broken)
			if _, err := postgres.Down(t.Context(), broken, "1"); postgres.ExitCode(err) != migrations.ExitUnreachable {
				t.Errorf("%v", err)
			}
			if got, err := postgres.Down(t.Context(), cfg, "1"); err != nil || got.To != "1" {
				t.Errorf("%+v, %v", got, err)
			}
			if seen := tables(t, url); seen != "t1" || !slices.Equal(recorded(t, cfg), []string{"1"}) {
				t.Errorf("tables %s, ledger %v", seen, recorded(t, cfg))
			}
		})
	}
}

func TestDownTriesAgainForALock(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	cfg.LockTimeout = 20 * time.Millisecond
	migrate(t, cfg, load(t, reversible(1)))
	holder := session(t, url)
	if _, err := holder.Exec(t.Context(), "BEGIN; SELECT * FROM t1").ReadAll(); err != nil {
		t.Fatal(err)
	}
	waits := 0
	w := &wire{onWrite: func(b []byte) {
		if !strings.Contains(string(b), "DROP TABLE t1") {
			return
		}
		if waits++; waits == 2 {
			if _, err := holder.Exec(t.Context(), "COMMIT").ReadAll(); err != nil {
				t.Error(err)
			}
		}
	}}
	w.tap(&cfg)
	if got, err := postgres.Down(t.Context(), cfg, ""); err != nil || len(got.Versions) != 1 || waits != 2 {
		t.Errorf("%+v after %d attempts, %v", got, waits, err)
	}
}
