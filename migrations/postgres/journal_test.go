package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

const setup = "CREATE TABLE d (v int); INSERT INTO d VALUES (1), (1), (2);"

// valid lists the indexes on d by name, and whether they are valid.
func valid(t *testing.T, url string) string {
	t.Helper()
	return strings.Join(query(t, url, "SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'public.d'::regclass ORDER BY 1"), " ")
}

func TestResumesAtTheFailedStatement(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	const head = "-- schemawave: no-transaction\nCREATE TABLE log (id int);\nINSERT INTO log VALUES (1);\n"
	const index = "CREATE UNIQUE INDEX CONCURRENTLY u ON d (v);\nINSERT INTO log VALUES (2);\n"

	report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_d.sql", setup, "2_u.sql", head+index)))
	if err == nil || report.Failure.SQLState != "23505" || report.Failure.Line != 4 || report.Count != 1 {
		t.Fatalf("failure: %+v", report.Failure)
	}
	if got := valid(t, url); got != "u|f" {
		t.Errorf("after the failure: %s", got)
	}
	if history, err := postgres.Status(t.Context(), cfg); err != nil || len(history.Unfinished) != 1 || history.Unfinished[0] != "2" {
		t.Errorf("history: %+v, %v", history, err)
	}

	_, err = postgres.Migrate(t.Context(), cfg, load(t, files("1_d.sql", setup, "2_u.sql", strings.Replace(head, "VALUES (1)", "VALUES (7)", 1)+index)))
	var e *postgres.Error
	if postgres.ExitCode(err) != migrations.ExitRejected || !errors.As(err, &e) || e.Failure.Line != 3 {
		t.Errorf("an executed statement was edited: %v", err)
	}
	_, err = postgres.Migrate(t.Context(), cfg, load(t, files("1_d.sql", setup, "2_u.sql", "-- schemawave: no-transaction\nCREATE TABLE log (id int);\n")))
	if postgres.ExitCode(err) != migrations.ExitRejected {
		t.Errorf("an executed statement was deleted: %v", err)
	}

	report = migrate(t, cfg, load(t, files("1_d.sql", setup, "2_u.sql", head+"DELETE FROM d WHERE v = 1;\n"+index)))
	if report.Count != 1 || report.To != "2" {
		t.Errorf("after the repair: %+v", report)
	}
	if got := valid(t, url); got != "u|t" {
		t.Errorf("after the repair: %s", got)
	}
	if got := query(t, url, "SELECT string_agg(id::text, ',' ORDER BY id) FROM log"); got[0] != "1,2" {
		t.Errorf("log: %v", got)
	}
}

// A file that is half applied and then loses its directive would run from its beginning, in one transaction: what is
// executed already must not be executed twice.
func TestHalfAppliedFileGoesOnWithoutItsDirective(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	const body = "CREATE TABLE log (id int);\nINSERT INTO log VALUES (1);\nINSERT INTO later VALUES (1);\nINSERT INTO log VALUES (2);\n"
	report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_x.sql", "-- schemawave: no-transaction\n"+body)))
	if err == nil || report.Failure.Line != 4 {
		t.Fatalf("%v", err)
	}
	_, err = postgres.Migrate(t.Context(), cfg, load(t, files("1_x.sql", strings.Replace(body, "VALUES (1)", "VALUES (7)", 1))))
	if postgres.ExitCode(err) != migrations.ExitRejected || !strings.Contains(err.Error(), "half applied") {
		t.Errorf("an executed statement was edited: %v", err)
	}
	query(t, url, "CREATE TABLE later (v int)")
	if report := migrate(t, cfg, load(t, files("1_x.sql", body, "2_y.sql", "INSERT INTO log VALUES (3)"))); report.Count != 2 {
		t.Errorf("%+v", report)
	}
	if got := query(t, url, "SELECT string_agg(id::text, ',' ORDER BY id) FROM log"); got[0] != "1,2,3" {
		t.Errorf("log: %v", got)
	}
	if history, err := postgres.Status(t.Context(), cfg); err != nil || len(history.Unfinished) != 0 {
		t.Errorf("history: %+v, %v", history, err)
	}
}

// The connection breaks at every single write of a run in turn, before or after it reached the server. The run goes on by
// itself, and every migration is applied once.
func TestConnectionLostAnywhere(t *testing.T) {
	const n = 6
	set := load(t, withIndexes(n))
	url := freshURL(t)
	for _, after := range []bool{false, true} {
		for k := 1; ; k++ {
			emptyDatabase(t, url)
			cfg := config(t, url)
			var writes atomic.Int64 // the driver writes from a goroutine of its own when it gives a connection up
			w := &wire{breakAfter: after, breakAt: func([]byte) bool { return writes.Add(1) == int64(k) }}
			w.tap(&cfg)
			report, err := postgres.Migrate(t.Context(), cfg, set)
			if err != nil {
				t.Fatalf("lost at write %d (after: %t): %v", k, after, err)
			}
			if report.Outcome == migrations.OutcomeSucceeded && report.Count != n {
				t.Errorf("lost at write %d (after: %t): %d reported as applied", k, after, report.Count)
			}
			whole(t, url, config(t, url), n)
			if writes.Load() < int64(k) {
				break
			}
		}
	}
}

// An index that was finished just before the connection broke is not built again.
func TestFinishedButNotJournalled(t *testing.T) {
	for name, c := range map[string]struct{ before, sql, want string }{
		"create":  {"", "CREATE INDEX CONCURRENTLY i ON d (v)", "i|t"},
		"drop":    {"CREATE INDEX i ON d (v)", "DROP INDEX CONCURRENTLY i", ""},
		"reindex": {"CREATE INDEX i ON d (v)", "REINDEX INDEX CONCURRENTLY i", "i|t"},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			query(t, url, setup+c.before)
			cfg := config(t, url)
			broken := 0
			w := &wire{breakAt: func(b []byte) bool {
				if broken == 0 && bytes.Contains(b, []byte(`"statement" SET finished`)) {
					broken++
					return true
				}
				return false
			}}
			w.tap(&cfg)
			migrate(t, cfg, load(t, files("1_x.sql", c.sql)))
			if broken != 1 {
				t.Error("the connection did not break")
			}
			if got := valid(t, url); got != c.want {
				t.Errorf("indexes: %q, want %q", got, c.want)
			}
		})
	}
}

// What cannot be executed twice was executed just before the connection broke: it is not tried again.
func TestExecutedButNotJournalled(t *testing.T) {
	publisher, err := postgrestest.Start(t.Context(), postgrestest.Options{Settings: map[string]string{"wal_level": "logical"}})
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Stop()
	query(t, publisher.URL("postgres"), "CREATE PUBLICATION p; CREATE PUBLICATION q")
	create := fmt.Sprintf("CREATE SUBSCRIPTION s_%%s CONNECTION '%s' PUBLICATION p", publisher.URL("postgres"))
	const inPlace = "SET allow_in_place_tablespaces TO on;\n"
	const published = "SELECT subpublications FROM pg_subscription WHERE subname = 's_%s'"
	for name, c := range map[string]struct {
		before []string // each %s is the database's name
		sql    string
		seen   string // selects what the statement has done
		want   []string
		after  []string
	}{
		"create database":   {nil, "CREATE DATABASE new_%s", "SELECT datname FROM pg_database WHERE datname = 'new_%s'", []string{"new_%s"}, nil},
		"drop database":     {[]string{"CREATE DATABASE old_%s"}, "DROP DATABASE old_%s", "SELECT datname FROM pg_database WHERE datname = 'old_%s'", nil, nil},
		"create tablespace": {nil, inPlace + "CREATE TABLESPACE new_%s LOCATION ''", "SELECT spcname FROM pg_tablespace WHERE spcname = 'new_%s'", []string{"new_%s"}, nil},
		"drop tablespace": {[]string{inPlace + "CREATE TABLESPACE old_%s LOCATION ''"}, "DROP TABLESPACE old_%s",
			"SELECT spcname FROM pg_tablespace WHERE spcname = 'old_%s'", nil, nil},
		"create subscription": {nil, create, published, []string{"{p}"}, []string{"DROP SUBSCRIPTION s_%s"}},
		"add publication":     {[]string{create}, "ALTER SUBSCRIPTION s_%s ADD PUBLICATION q", published, []string{"{p,q}"}, []string{"DROP SUBSCRIPTION s_%s"}},
		"drop subscription":   {[]string{create}, "DROP SUBSCRIPTION s_%s", published, nil, nil}, // only the server knows that it needs no transaction
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			named := func(s string) string { return strings.ReplaceAll(s, "%s", databaseName(t, url)) }
			for _, sql := range c.before {
				alone(t, url, named(sql))
			}
			cfg := config(t, url)
			broken := 0
			w := &wire{breakAt: func(b []byte) bool {
				if broken == 0 && bytes.Contains(b, []byte(`"statement" SET finished`)) {
					broken++
					return true
				}
				return false
			}}
			w.tap(&cfg)
			if report := migrate(t, cfg, load(t, files("1_x.sql", named(c.sql), "2_y.sql", "CREATE TABLE y (v int)"))); broken != 1 || report.Count != 2 {
				t.Errorf("the connection broke %d times, %d applied", broken, report.Count)
			}
			var want []string
			for _, line := range c.want {
				want = append(want, named(line))
			}
			if got := query(t, url, named(c.seen)); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			if got := query(t, url, "SELECT count(*) FROM schemawave.statement"); got[0] != "0" {
				t.Errorf("%s journal entries are left", got[0])
			}
			for _, sql := range c.after {
				alone(t, url, named(sql))
			}
		})
	}
}

// alone runs statements each in a message of its own.
func alone(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, st := range strings.Split(sql, ";\n") {
		if _, err := conn.Exec(t.Context(), st).ReadAll(); err != nil {
			t.Fatalf("%s: %v", st, err)
		}
	}
}

// An attempt that was given up is still under way on the server when the statement is tried again, and comes first.
func TestExecutedMeanwhileByTheLostAttempt(t *testing.T) {
	url := freshURL(t)
	name := "new_" + databaseName(t, url)
	cfg := config(t, url)
	sent := 0
	w := &wire{breakAt: func(b []byte) bool {
		if !bytes.Contains(b, []byte("CREATE DATABASE")) {
			return false
		}
		if sent++; sent == 2 {
			alone(t, url, "CREATE DATABASE "+name)
		}
		return sent == 1 // never arrives
	}}
	w.tap(&cfg)
	set := load(t, files("1_x.sql", "CREATE DATABASE "+name))
	if report := migrate(t, cfg, set); sent != 2 || report.Count != 1 {
		t.Errorf("sent %d times, %d applied", sent, report.Count)
	}
	cfg.Conn.AfterNetConnect, cfg.LedgerSchema = nil, "another"
	if report, err := postgres.Migrate(t.Context(), cfg, set); err == nil || report.Failure.SQLState != "42P04" {
		t.Errorf("what was there before the first attempt was taken for its work: %v", err)
	}
	if report, err := postgres.Migrate(t.Context(), cfg, set); err == nil || report.Failure.SQLState != "42P04" {
		t.Errorf("… and by the second one: %v", err)
	}
}

// holdSnapshot opens a transaction that every concurrent build has to wait for; end ends it.
func holdSnapshot(t *testing.T, url, sql string) (end func()) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN;"+sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
	end = func() { conn.Close(t.Context()) }
	t.Cleanup(end)
	return end
}

// eventually waits for a query to answer as wanted.
func eventually(t *testing.T, url, sql, want string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	var got []string
	for time.Now().Before(deadline) {
		if got = query(t, url, sql); len(got) == 1 && got[0] == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: %v, want %s", sql, got, want)
}

func TestKilledWhileBuildingAnIndex(t *testing.T) {
	url := freshURL(t)
	query(t, url, setup)
	end := holdSnapshot(t, url, "INSERT INTO d VALUES (3)")
	const sql = "CREATE INDEX CONCURRENTLY i ON d (v);"
	cmd := runnerProcess(t, url, onDisk(t, numberedWith(sql)))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, url, "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('i') AND NOT indisvalid", "1")
	cmd.Process.Kill()
	cmd.Wait()
	eventually(t, url, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'schemawave/%' AND datname = current_database()", "0")
	end()
	if got := valid(t, url); got != "i|f" {
		t.Fatalf("indexes: %s", got)
	}
	migrate(t, config(t, url), load(t, numberedWith(sql)))
	if got := valid(t, url); got != "i|t" {
		t.Errorf("indexes: %s", got)
	}
}

// An invalid index of any origin must not be taken for the real one by IF NOT EXISTS.
func TestInvalidIndexOfAnotherTool(t *testing.T) {
	url := freshURL(t)
	query(t, url, setup)
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY u ON d (v)").ReadAll(); err == nil {
		t.Fatal("duplicates were accepted")
	}
	query(t, url, "DELETE FROM d WHERE v = 1")
	migrate(t, config(t, url), load(t, files("1_u.sql", `CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS U ON "public"."d" (v)`)))
	if got := valid(t, url); got != "u|t" {
		t.Errorf("indexes: %s", got)
	}
}

// An index that a session of another role is building is not taken for a dead attempt's.
func TestIndexThatAnotherRoleIsBuilding(t *testing.T) {
	url := freshURL(t)
	role := "builder_" + databaseName(t, url)
	query(t, url, setup+fmt.Sprintf("CREATE ROLE %[1]s LOGIN; GRANT CREATE ON DATABASE %[2]s TO %[1]s; GRANT ALL ON SCHEMA public TO %[1]s; ALTER TABLE d OWNER TO %[1]s", role, databaseName(t, url)))
	end := holdSnapshot(t, url, "INSERT INTO d VALUES (3)")
	other, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	const sql = "CREATE INDEX CONCURRENTLY i ON d (v)"
	built := make(chan error, 1)
	go func() {
		_, err := other.Exec(t.Context(), sql).ReadAll()
		built <- err
	}()
	eventually(t, url, "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('i') AND NOT indisvalid", "1")
	cfg := config(t, url)
	cfg.Conn.User = role
	cfg.Deadline = 20 * time.Second
	if report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_x.sql", sql))); postgres.ExitCode(err) != migrations.ExitBusy || report.Failure.SQLState != "" || report.Failure.Message != "index public.i is being built by another session" {
		t.Errorf("%+v", report.Failure)
	}
	end()
	if err := <-built; err != nil {
		t.Error(err)
	}
	if got := valid(t, url); got != "i|t" {
		t.Errorf("indexes: %s", got)
	}
}

// What holds up nobody while it waits for old transactions waits however short the lock timeout is.
func TestConcurrentBuildOutwaitsTheLockTimeout(t *testing.T) {
	t.Parallel() // it waits more than it works
	for sql, want := range map[string]string{
		"CREATE INDEX CONCURRENTLY j ON d (v)": "i|t j|t",
		"DROP INDEX CONCURRENTLY i":            "",
		"REINDEX TABLE CONCURRENTLY d":         "i|t",
		"REINDEX SCHEMA CONCURRENTLY public":   "i|t",
	} {
		t.Run(sql, func(t *testing.T) {
			url := freshURL(t)
			query(t, url, setup+"CREATE INDEX i ON d (v)")
			cfg := config(t, url)
			cfg.LockTimeout, cfg.Retries = 50*time.Millisecond, -1
			end := holdSnapshot(t, url, "INSERT INTO d VALUES (3)")
			time.AfterFunc(400*time.Millisecond, end)
			migrate(t, cfg, load(t, files("1_i.sql", sql)))
			if got := valid(t, url); got != want {
				t.Errorf("indexes: %s", got)
			}
		})
	}
}

func TestInterruptedDetachIsFinished(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE TABLE p (v int) PARTITION BY LIST (v); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)")
	end := holdSnapshot(t, url, "SELECT * FROM p")
	cfg := config(t, url)
	cfg.StatementTimeout, cfg.Retries = 300*time.Millisecond, -1
	set := load(t, files("1_x.sql", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY"))
	if _, err := postgres.Migrate(t.Context(), cfg, set); postgres.ExitCode(err) != migrations.ExitBusy {
		t.Fatalf("first: %v", err)
	}
	if got := query(t, url, "SELECT inhdetachpending FROM pg_inherits"); len(got) != 1 || got[0] != "t" {
		t.Fatalf("pending: %v", got)
	}
	end()
	migrate(t, cfg, set)
	if got := query(t, url, "SELECT count(*) FROM pg_inherits"); got[0] != "0" {
		t.Errorf("still attached: %v", got)
	}
}

func TestInterruptedReindexLeavesNothing(t *testing.T) {
	url := freshURL(t)
	query(t, url, setup+"CREATE INDEX i ON d (v)")
	end := holdSnapshot(t, url, "INSERT INTO d VALUES (3)")
	cfg := config(t, url)
	cfg.StatementTimeout, cfg.Retries = 300*time.Millisecond, -1
	set := load(t, files("1_x.sql", "REINDEX TABLE CONCURRENTLY d"))
	if _, err := postgres.Migrate(t.Context(), cfg, set); err == nil {
		t.Fatal("no error")
	}
	if got := valid(t, url); got != "i|t i_ccnew|f" {
		t.Fatalf("indexes: %s", got)
	}
	end()
	migrate(t, cfg, set)
	if got := valid(t, url); got != "i|t" {
		t.Errorf("indexes: %s", got)
	}
}

// The settings of a file hold for its statements alone, resumed or not, and not for the journal.
func TestSettingsOfAStepwiseFile(t *testing.T) {
	url := freshURL(t)
	role := "owner_" + databaseName(t, url)
	query(t, url, "CREATE ROLE "+role+"; CREATE SCHEMA other AUTHORIZATION "+role+"; CREATE TABLE other.d (v int); ALTER TABLE other.d OWNER TO "+role+"; INSERT INTO other.d VALUES (1), (1)")
	cfg := config(t, url)
	sql := "SET search_path TO other;\nSET ROLE " + role + ";\nCREATE INDEX CONCURRENTLY i ON d (v);\nCREATE UNIQUE INDEX CONCURRENTLY u ON d (v);\n"
	if report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_x.sql", sql))); err == nil || report.Failure.Line != 4 {
		t.Fatalf("first: %v", err)
	}
	query(t, url, "DELETE FROM other.d")
	migrate(t, cfg, load(t, files("1_x.sql", sql)))
	if got := query(t, url, "SELECT indexname FROM pg_indexes WHERE schemaname = 'other' ORDER BY 1"); strings.Join(got, " ") != "i u" {
		t.Errorf("indexes: %v", got)
	}
}

func TestStatementsThatCommitThemselves(t *testing.T) {
	url := freshURL(t)
	migrate(t, config(t, url), load(t, files(
		"1_p.sql", "CREATE TABLE d (v int); CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..3 LOOP INSERT INTO d VALUES (i); COMMIT; END LOOP; END $$;",
		"2_c.sql", "-- schemawave: no-transaction\nCALL fill();\nDO $$ BEGIN INSERT INTO d VALUES (4); COMMIT; END $$;\nVACUUM d;",
		"3_v.sql", "VACUUM (ANALYZE) d;",
	)))
	if got := query(t, url, "SELECT count(*) FROM d"); got[0] != "4" {
		t.Errorf("%s rows", got[0])
	}
	report, err := postgres.Migrate(t.Context(), config(t, freshURL(t)), load(t, files("1_c.sql", "DO $$ BEGIN COMMIT; END $$;")))
	if err == nil || report.Failure.SQLState != "2D000" || !strings.Contains(report.Failure.Hint, "no-transaction") {
		t.Errorf("in a transaction: %+v", report.Failure)
	}
}

// once is a file of statements that may commit, and do not, with nothing that would hide a second time.
const once = "-- schemawave: no-transaction\nCALL enter();\nDO $$ BEGIN INSERT INTO d VALUES (2); END $$;"

// The connection breaks at every single write in turn, before or after it reached the server.
func TestWhatDoesNotCommitRunsOnce(t *testing.T) {
	set := load(t, files("1_d.sql", "CREATE TABLE d (v int); CREATE PROCEDURE enter() LANGUAGE sql AS 'INSERT INTO d VALUES (1)';", "2_once.sql", once))
	url := freshURL(t)
	for _, after := range []bool{false, true} {
		for k, writes := 1, 1; writes >= k; k++ {
			emptyDatabase(t, url)
			cfg := config(t, url)
			writes = 0
			w := &wire{breakAfter: after, breakAt: func([]byte) bool { writes++; return writes == k }}
			w.tap(&cfg)
			migrate(t, cfg, set)
			if got := query(t, url, "SELECT string_agg(v::text, ' ' ORDER BY v) FROM d"); got[0] != "1 2" {
				t.Fatalf("lost at write %d (after: %t): rows %s", k, after, got)
			}
		}
	}
}

// One that commits has no entry in the same transaction: it is repeated if nobody heard of its end, and that is told.
func TestWhatCommitsIsRepeatedWithAWarning(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	var log logged
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	broken := false
	w := &wire{breakAt: func(b []byte) bool {
		now := !broken && strings.Contains(string(b), `"statement" SET finished`)
		broken = broken || now
		return now
	}}
	w.tap(&cfg)
	migrate(t, cfg, load(t, files("1_d.sql", "CREATE TABLE d (v int)", "2_c.sql", "-- schemawave: no-transaction\nDO $$ BEGIN INSERT INTO d VALUES (1); COMMIT; END $$;")))
	if got := query(t, url, "SELECT count(*) FROM d"); got[0] != "2" || !strings.Contains(log.String(), "commits by itself is run again") || !strings.Contains(log.String(), "line=2") {
		t.Errorf("%s rows: %s", got[0], log.String())
	}
}

// An error that may pass is tried again where the transaction has left nothing, and not where part of it is committed.
func TestWhatMayCommitIsTriedAgainInATransaction(t *testing.T) {
	for name, c := range map[string]struct{ first, raise string }{
		"in a transaction":           {"", "ERRCODE = '40001'"},
		"committed":                  {"COMMIT;", "ERRCODE = '40001'"},
		"committed, then overtaken":  {"COMMIT;", "ERRCODE = '23505', SCHEMA = 'pg_catalog'"},
		"overtaken in a transaction": {"", "ERRCODE = '23505', SCHEMA = 'pg_catalog'"},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			_, err := postgres.Migrate(t.Context(), config(t, url), load(t, files("1_d.sql", "CREATE TABLE d (v int); CREATE SEQUENCE tries", "2_do.sql",
				"-- schemawave: no-transaction\nDO $$ BEGIN INSERT INTO d VALUES (1); "+c.first+" IF nextval('tries') = 1 THEN RAISE EXCEPTION 'once' USING "+c.raise+"; END IF; END $$;")))
			if code := postgres.ExitCode(err); c.first == "" && err != nil || c.first != "" && code != migrations.ExitBusy {
				t.Errorf("exit %d: %v", code, err)
			}
			if got := query(t, url, "SELECT count(*) FROM d"); got[0] != "1" {
				t.Errorf("%s rows", got[0])
			}
		})
	}
}

// A setting that the server does not take is told where it is written, whatever comes after it, and if nothing does.
func TestAWrongSettingOutOfATransactionHasItsPlace(t *testing.T) {
	const set = "-- schemawave: no-transaction\nSET search_path TO public;\nSET nope TO 1;"
	for name, sql := range map[string]string{
		"before one in a transaction":  set + "\n\nCREATE TABLE b (v int);\n",
		"before one without":           set + "\n\nCREATE INDEX CONCURRENTLY i ON a (v);\n",
		"the last one":                 "-- schemawave: no-transaction\nCREATE TABLE b (v int);\nSET nope TO 1;",
		"the only one":                 "-- schemawave: no-transaction\n\nSET nope TO 1;",
		"one that is no SQL":           "-- schemawave: no-transaction\nSET search_path TO public;\nSET work_mem TO TO 1;\nSELECT 1;",
		"one of something not yet due": "-- schemawave: no-transaction\nCREATE TABLE b (v int);\nSET ROLE nobody_of_that_name;\nSELECT 1;",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, freshURL(t))
			report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", "CREATE TABLE a (v int)", "2_b.sql", sql)))
			if f := report.Failure; err == nil || f.File != "2_b.sql" || f.Line != 3 || f.Column == 0 {
				t.Errorf("%v", err)
			}
		})
	}
}

// A half-applied migration whose file is gone is not left behind by a newer one; nor is one that the policy skips.
func TestAHalfAppliedMigrationIsNotPassedOver(t *testing.T) {
	const second = "-- schemawave: no-transaction\nCREATE TABLE b (v int);\nCREATE INDEX CONCURRENTLY i ON a (v);"
	for name, c := range map[string]struct {
		halfWay bool
		applied string // what is recorded, beside its journal
		policy  migrations.OutOfOrder
		files   []string
		refused bool
	}{
		"the file is gone":                   {true, "1", migrations.OutOfOrderRefuse, []string{"3_c.sql", "SELECT 1"}, true},
		"the file is gone, nothing to do":    {true, "1", migrations.OutOfOrderRefuse, nil, false},
		"the version is written differently": {true, "1", migrations.OutOfOrderRefuse, []string{"2.0_b.sql", second}, true},
		"it is skipped":                      {true, "3", migrations.OutOfOrderSkip, []string{"2_b.sql", second, "3_c.sql", "SELECT 1", "4_d.sql", "SELECT 1"}, true},
		"it is completed":                    {true, "3", migrations.OutOfOrderApply, []string{"2_b.sql", second, "3_c.sql", "SELECT 1"}, false},
		"it has done nothing":                {false, "1", migrations.OutOfOrderRefuse, []string{"3_c.sql", "SELECT 1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			first := []string{"1_a.sql", "CREATE TABLE a (w int)"}
			half := second
			if !c.halfWay {
				half = "CREATE INDEX CONCURRENTLY i ON a (v);"
			}
			if _, err := postgres.Migrate(t.Context(), cfg, load(t, files(append(first, "2_b.sql", half)...))); err == nil {
				t.Fatal("column v is not there, and nothing failed")
			}
			query(t, url, "ALTER TABLE a ADD v int")
			if c.applied == "3" {
				query(t, url, "INSERT INTO schemawave.migration (version, previous, name, checksum) SELECT '3', '1', 'c', ''")
			}
			cfg.OutOfOrder = c.policy
			set := load(t, files(append(first, c.files...)...))
			_, err := postgres.Migrate(t.Context(), cfg, set)
			_, previewErr := postgres.PreviewMigrate(t.Context(), cfg, set)
			for _, err := range []error{err, previewErr} {
				if c.refused && (postgres.ExitCode(err) != migrations.ExitRejected || !strings.Contains(err.Error(), "migration 2 is half applied")) || !c.refused && err != nil {
					t.Errorf("%v", err)
				}
			}
		})
	}
}
