package postgres_test

import (
	"encoding/binary"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// pooler starts a pgbouncer in front of the server.
func pooler(t *testing.T, opts postgrestest.PoolerOptions) *postgrestest.Pooler {
	t.Helper()
	p, err := postgrestest.StartPooler(t.Context(), server, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	return p
}

// poolers are the ways pgbouncer is set up: it refuses settings in the startup message, drops them, or has whole sessions.
func poolers() map[string]postgrestest.PoolerOptions {
	return map[string]postgrestest.PoolerOptions{
		"refuses settings": {},
		"drops settings": {IgnoreStartupParameters: []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout",
			"client_connection_check_interval", "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout"}},
		"session mode":           {Mode: "session", PoolSize: 60},
		"fewer than connections": {PoolSize: 5},
	}
}

const leaked = "SELECT setting FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout', 'role') AND setting NOT IN ('0', 'none') " +
	"UNION ALL SELECT 'a lock of ' || pid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"

func TestFiftyRunnersThroughAPooler(t *testing.T) {
	for name, opts := range poolers() {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			p := pooler(t, opts)
			through := p.URL(databaseName(t, url))
			if applied := raceGoroutines(t, 50, through); applied != racedFiles+1 {
				t.Errorf("%d reported as applied, want %d", applied, racedFiles+1)
			}
			counted(t, url, racedFiles, racedIndexes)
			for range 10 { // whatever server session is asked
				if got := query(t, through, leaked); len(got) != 0 {
					t.Errorf("left in a server session that others use: %v", got)
				}
			}
			if got := query(t, url, "SELECT count(*) FROM schemawave.lease WHERE expires > now()"); got[0] != "0" {
				t.Error("the lease is still held")
			}
		})
	}
}

func TestTwelveProcessesThroughAPooler(t *testing.T) {
	url := freshURL(t)
	raceProcesses(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url)), 12)
	counted(t, url, racedFiles, racedIndexes)
}

// What would be set for the session holds in every transaction, and for nobody else.
func TestSettingsHoldThroughAPooler(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE SCHEMA app")
	cfg := config(t, pooler(t, postgrestest.PoolerOptions{PoolSize: 2}).URL(databaseName(t, url))+"&search_path=app")
	cfg.LockTimeout, cfg.StatementTimeout = 1234*time.Millisecond, 56*time.Second
	const seen = "AS SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout') || ' ' || current_setting('search_path')"
	migrate(t, cfg, load(t, files("1_a.sql", "CREATE TABLE a "+seen+" AS v; SET lock_timeout TO '7min'; SET search_path TO public", "2_b.sql", "CREATE TABLE b "+seen+" AS v",
		"3_c.sql", "-- schemawave: no-transaction\nCREATE TABLE c "+seen+" AS v;")))
	if got := query(t, url, "SELECT v FROM app.a UNION SELECT v FROM app.b UNION SELECT v FROM app.c"); len(got) != 1 || got[0] != "1234ms 56s app" {
		t.Errorf("in force: %q", got)
	}
}

func TestPoolerCannotCarrySettingsOutOfATransaction(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url)))
	report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", "CREATE TABLE a (v int)", "2_b.sql", "SET work_mem TO '5MB';\nCREATE INDEX CONCURRENTLY i ON a (v);")))
	if f := report.Failure; postgres.ExitCode(err) != migrations.ExitConfig || f == nil || f.File != "2_b.sql" || f.Line != 2 || !strings.Contains(f.Hint, "own address") {
		t.Errorf("%v: %+v", err, f)
	}
	query(t, url, "CREATE TABLE b (v int); CREATE SCHEMA other; CREATE TABLE other.b (v int)")
	elsewhere := config(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url))+"&search_path=other")
	elsewhere.LedgerSchema = "elsewhere"
	_, err = postgres.Migrate(t.Context(), elsewhere, load(t, files("1_b.sql", "CREATE INDEX CONCURRENTLY i ON b (v);")))
	if postgres.ExitCode(err) != migrations.ExitConfig || !strings.Contains(err.Error(), "search_path") {
		t.Errorf("a search_path in the URL: %v", err)
	}
	options := config(t, pooler(t, postgrestest.PoolerOptions{IgnoreStartupParameters: []string{"options"}}).URL(databaseName(t, url))+"&options=-csearch_path%3Dapp")
	if _, err := postgres.Migrate(t.Context(), options, load(t, numbered(1))); postgres.ExitCode(err) != migrations.ExitConfig || !strings.Contains(err.Error(), "options") {
		t.Errorf("options in the URL: %v", err)
	}
}

// What would take back the settings of the transaction, and put a tenant's tables into another schema, is refused, and so is what would
// stay in the server session.
func TestAPoolerRefusesWhatUndoesItsSettings(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE SCHEMA a")
	through := pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url))
	for sql, refused := range map[string]bool{
		"RESET ALL":                                true,
		"RESET search_path":                        true,
		"SET LOCAL Search_Path = DEFAULT":          true,
		"PREPARE p AS SELECT 1":                    true,
		"SET lock_timeout TO 0;RESET lock_timeout": false,
		"SET search_path TO a":                     false,
	} {
		cfg := config(t, through)
		cfg.Tenant = "a"
		report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", "SELECT 1", "2_b.sql", "SELECT 1;\n"+sql)))
		if !refused {
			if err != nil {
				t.Errorf("%s: %v", sql, err)
			}
			query(t, url, "DROP SCHEMA schemawave CASCADE")
			continue
		}
		if f := report.Failure; postgres.ExitCode(err) != migrations.ExitConfig || f.File != "2_b.sql" || f.Line != 2 || !strings.Contains(f.Hint, "own address") || report.Count > 0 {
			t.Errorf("%s: %v", sql, err)
		}
	}
	direct := config(t, url)
	direct.Tenant, direct.LedgerSchema = "a", "direct"
	migrate(t, direct, load(t, files("1_a.up.sql", "PREPARE p AS SELECT 1; RESET ALL; CREATE TABLE t ()", "1_a.down.sql", "RESET search_path; DROP TABLE t")))
	direct.Conn = parse(t, through)
	if _, err := postgres.Down(t.Context(), direct, ""); postgres.ExitCode(err) != migrations.ExitConfig {
		t.Errorf("down: %v", err)
	}
}

// pgbouncer 1.18 hands a server session out again after the first of several replies that are due.
func TestNothingIsSentAheadThroughAPooler(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, pooler(t, poolers()["drops settings"]).URL(databaseName(t, url)))
	w := &wire{}
	w.tap(&cfg)
	migrate(t, cfg, load(t, withIndexes(8)))
	if _, flights, queries := w.counts(); queries < 10 || queries > flights {
		t.Errorf("%d messages in %d flights", queries, flights)
	}
}

// Nor is it where tenants are only asked about, but for the query for their names, whose transaction keeps the server session.
func TestNothingIsSentAheadAboutTenants(t *testing.T) {
	url := tenantsURL(t, "north", "south")
	cfg := config(t, pooler(t, poolers()["drops settings"]).URL(databaseName(t, url)))
	w := &wire{onWrite: func(written []byte) {
		if length := binary.BigEndian.Uint32(written[1:5]); written[0] == 'Q' && len(written) > 1+int(length) {
			t.Errorf("more than one message in a flight: %s", written)
		}
	}}
	w.tap(&cfg)
	if _, err := postgres.StatusTenants(t.Context(), cfg, postgres.Tenants{Names: []string{"north", "south"}}); err != nil {
		t.Fatal(err)
	}
}

// A runner whose lease was taken over while it slept cannot commit any more, and says why.
func TestALostLeaseFencesItsHolder(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url)))
	cfg.Retries = -1
	migrate(t, cfg, load(t, numbered(1)))
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	overtaken := false
	w := &wire{onWrite: func(b []byte) {
		if !overtaken && strings.Contains(string(b), "CREATE TABLE t2") { // just before it is sent
			overtaken = true
			if _, err := conn.Exec(t.Context(), "UPDATE schemawave.lease SET token = token + 1, holder = 'another', expires = now() + interval '1 second'").ReadAll(); err != nil {
				t.Error(err)
			}
		}
	}}
	w.tap(&cfg)
	report, err := postgres.Migrate(t.Context(), cfg, load(t, numbered(3)))
	if !overtaken || postgres.ExitCode(err) != migrations.ExitBusy || !strings.Contains(err.Error(), "lease") {
		t.Errorf("%v: %+v", err, report.Failure)
	}
	if got := query(t, url, "SELECT version FROM schemawave.migration WHERE version > '1' UNION ALL SELECT relname FROM pg_class WHERE relname IN ('t2', 't3')"); len(got) != 0 {
		t.Errorf("the zombie committed %v", got)
	}
	cfg.Conn.AfterNetConnect = nil
	if report := migrate(t, cfg, load(t, numbered(3))); report.Count != 2 {
		t.Errorf("after the other one's lease has expired: %+v", report)
	}
}

// No lease is taken over while a transaction of its holder is under way, however long the holder is silent.
func TestALeaseOutlastsItsTermInATransaction(t *testing.T) {
	t.Parallel() // it waits more than it works
	url := freshURL(t)
	cfg := config(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url)))
	migrate(t, cfg, load(t, numbered(1)))
	query(t, url, "UPDATE schemawave.lease SET token = 77, holder = 'silent', expires = now() - interval '1 hour'")
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "BEGIN; SELECT 1 / count(*) FROM (SELECT FROM schemawave.lease WHERE token = 77 FOR KEY SHARE) AS held").ReadAll(); err != nil {
		t.Fatal(err)
	}
	waiting := cfg
	waiting.Deadline = 3 * time.Second
	if _, err := postgres.Migrate(t.Context(), waiting, load(t, numbered(2))); postgres.ExitCode(err) != migrations.ExitBusy || !strings.Contains(err.Error(), "silent") {
		t.Errorf("%v", err)
	}
	if _, err := conn.Exec(t.Context(), "COMMIT").ReadAll(); err != nil {
		t.Fatal(err)
	}
	migrate(t, cfg, load(t, numbered(2)))
}

// A statement outside a transaction goes on behind a pooler when its runner is dead. Whoever takes the lease over waits for its end,
// and does not begin it a second time meanwhile.
func TestStatementOfADeadRunnerIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct{ sql, waiting, seen, want string }{
		"CALL": {"-- schemawave: no-transaction\nCALL work()", "SELECT count(*) FROM log", "SELECT string_agg(what, ' ' ORDER BY n) FROM log", "began ended began ended"},
		"CREATE INDEX": {"CREATE INDEX CONCURRENTLY i ON held (v)", "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('i') AND NOT indisvalid",
			"SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass", "t"},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			query(t, url, `CREATE TABLE held (v int); CREATE TABLE log (n serial, what text); CREATE PROCEDURE work() LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO log (what) VALUES ('began'); COMMIT; LOCK TABLE held IN SHARE MODE; INSERT INTO log (what) VALUES ('ended'); END $$`)
			end := holdSnapshot(t, url, "INSERT INTO held VALUES (1)")
			through := pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url))
			cmd := runnerProcess(t, through, onDisk(t, numberedWith(c.sql)))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, url, c.waiting, "1")
			cmd.Process.Kill()
			cmd.Wait()
			expireLease(t, url)
			cfg := config(t, through)
			cfg.Deadline = time.Minute
			cfg.Logger = slog.New(heard{slog.DiscardHandler, "waiting for older transactions to end", end})
			migrate(t, cfg, load(t, numberedWith(c.sql)))
			if got := query(t, url, c.seen); got[0] != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestTenantsThroughAPooler(t *testing.T) {
	url := tenantsURL(t, "a", "b", "c")
	cfg := config(t, pooler(t, postgrestest.PoolerOptions{PoolSize: 3}).URL(databaseName(t, url)))
	report, err := postgres.MigrateTenants(t.Context(), cfg, load(t, numbered(3)), postgres.Tenants{Query: "SELECT name FROM tenants"})
	if err != nil || report.Count != 9 {
		t.Fatalf("%v: %+v", err, report)
	}
	if got := query(t, url, "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY schemaname, tablename) FROM pg_tables WHERE tablename ~ '^t[0-9]'"); got[0] != "a.t1 a.t2 a.t3 b.t1 b.t2 b.t3 c.t1 c.t2 c.t3" {
		t.Errorf("tables: %v", got)
	}
}
