package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

func TestFailureStopsEverythingAfterIt(t *testing.T) {
	for name, bad := range map[string]string{
		"statement":           "CREATE TABLE ok50 (id int);\n\n  SELECT * FROM nowhere;\n",
		"syntax":              "CREATE TABLE ok50 (id int);\n\n  SELECT * FRM nowhere;\n",
		"without a position":  "CREATE TABLE ok50 (id int);\n\n  CREATE TABLE t49 (id int);\n",
		"in a DO block":       "CREATE TABLE ok50 (id int);\n\n  DO $$ BEGIN PERFORM 1/0; END $$;\n",
		"of a later sentence": "SELECT ';'; /* ; */ SELECT $x$;$x$;\n\n  SELECT 'ä' || nowhere;",
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			dir := numbered(100)
			dir["0050_t50.sql"] = &fstest.MapFile{Data: []byte(bad)}
			report, err := postgres.Migrate(t.Context(), cfg, load(t, dir))
			if err == nil {
				t.Fatal("no error")
			}
			f := report.Failure
			if f == nil || report.Outcome != migrations.OutcomeFailed || report.Count != 49 || report.To != "49" {
				t.Fatalf("report: %+v", report)
			}
			if f.Code != migrations.ExitRejected || !f.Permanent || f.File != "0050_t50.sql" || f.Line != 3 || f.Column < 3 || f.SQLState == "" {
				t.Errorf("failure: %+v", f)
			}
			if got := recorded(t, cfg); len(got) != 49 || got[48] != "49" {
				t.Errorf("recorded: %v", got)
			}
			if n := query(t, url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n[0] != "49" {
				t.Errorf("%s tables, want 49", n[0])
			}
			if run := query(t, url, "SELECT outcome, error ->> 'file' FROM schemawave.run"); run[0] != "failed|0050_t50.sql" {
				t.Errorf("run: %v", run)
			}
			dir["0050_t50.sql"] = numbered(50)["0050_t50.sql"]
			if report := migrate(t, cfg, load(t, dir)); report.Count != 51 || report.From != "49" || report.To != "100" {
				t.Errorf("after the repair: %+v", report)
			}
		})
	}
}

func TestFailureNamesThePlace(t *testing.T) {
	for _, c := range []struct {
		name, sql    string
		line, column int
		state        string
	}{
		{"position of the server", "SELECT 1;\n\tSELECT nix;", 2, 9, "42703"},
		{"characters, not bytes", "SELECT 'äöü€', nix;", 1, 16, "42703"},
		{"start of the statement", "SELECT 1;\n\n  -- why\n  CREATE TABLE pg_catalog.x (id int);", 4, 3, "42501"},
		{"second of three", "CREATE TABLE a (id int);CREATE TABLE a (id int);CREATE TABLE b (id int)", 1, 25, "42P07"},
		{"end of input", "SELECT 1;\nSELECT (1", 2, 10, "42601"},
		{"inside goose sections", "-- +goose Up\n-- +goose StatementBegin\nSELECT nix;\n-- +goose StatementEnd\n-- +goose Down\nSELECT 1;", 3, 8, "42703"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := postgres.Migrate(t.Context(), config(t, freshURL(t)), load(t, files("1_x.sql", c.sql)))
			f := report.Failure
			if err == nil || f == nil {
				t.Fatal("no failure")
			}
			if f.Line != c.line || f.Column != c.column || f.SQLState != c.state {
				t.Errorf("%d:%d %s, want %d:%d %s (%v)", f.Line, f.Column, f.SQLState, c.line, c.column, c.state, err)
			}
		})
	}
}

// A database in another encoding than UTF8 refuses a whole message for one character that it does not have.
func TestFailureNamesThePlaceOfACharacterThatTheDatabaseCannotHold(t *testing.T) {
	long, _ := inserts(3<<19, strings.Repeat("ä;", 100))
	for sql, line := range map[string]int{
		"CREATE TABLE t (a int, b text);\n INSERT INTO t VALUES ('ä'), ('€');":                     2,
		"CREATE TABLE t (a int, b text);\n-- in a comment: €\nSELECT 1":                            2,
		"CREATE TABLE t (a int, b text);\n" + long + "SELECT '€';":                                 2 + strings.Count(long, "\n"),
		"-- schemawave: no-transaction\nCREATE TABLE t (a int, b text); DROP TABLE t;\nSELECT '€'": 3,
	} {
		url := freshURL(t)
		name := databaseName(t, url) + "_latin1"
		query(t, url, "CREATE DATABASE "+name+" ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
		cfg := config(t, server.URL(name))
		report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", sql)))
		f := report.Failure
		if err == nil || f.SQLState != "22P05" || f.File != "1_a.sql" || f.Line != line || f.Column == 0 || f.Hint == "" || strings.Contains(f.Message, "ledger") {
			t.Errorf("%.40q: %+v", sql, f)
		}
	}
}

// What the server cannot read is the file's fault and not the ledger's, though the server does not say where in it.
func TestFailureToReadAFileIsTheFiles(t *testing.T) {
	for _, through := range []string{"direct", "pooled"} {
		url := freshURL(t)
		if through == "pooled" {
			url = pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url))
		}
		report, err := postgres.Migrate(t.Context(), config(t, url), load(t, files("1_a.sql", "CREATE TABLE a (i int);\nSELECT E'\\xff'")))
		f := report.Failure
		if postgres.ExitCode(err) != migrations.ExitRejected || f.SQLState != "22021" || f.File != "1_a.sql" || f.Line != 0 || f.Hint == "" ||
			strings.Contains(f.Message, "ledger") || !strings.Contains(f.Message, "in this file") {
			t.Errorf("%s: %+v", through, f)
		}
	}
}

// A file that the server does not have is still not there at the next attempt: the Job is not to begin again.
func TestAFileThatTheServerDoesNotHaveIsNoOutage(t *testing.T) {
	for _, sql := range []string{"COPY a FROM '/no/such/file'", "CREATE FUNCTION f() RETURNS int LANGUAGE C AS '$libdir/nope', 'f'"} {
		cfg := config(t, freshURL(t))
		report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", "CREATE TABLE a (v int);\n"+sql)))
		if f := report.Failure; postgres.ExitCode(err) != migrations.ExitRejected || f.SQLState != "58P01" || f.Line != 2 {
			t.Errorf("%s: exit %d: %v", sql, postgres.ExitCode(err), err)
		}
	}
}

// A remedy is told where it is one.
func TestHintsDoNotMislead(t *testing.T) {
	for _, c := range []struct {
		sql     string
		timeout time.Duration
		state   string
		hint    string // part of it; empty if there is none
	}{
		{"CREATE VIEW v AS SELECT i FROM a;\nALTER TABLE a ALTER i TYPE bigint", 0, "0A000", ""},
		{"SELECT pg_cancel_backend(pg_backend_pid()); SELECT pg_sleep(5)", 0, "57014", "somebody cancelled it"},
		{"SET statement_timeout TO 50; SELECT pg_sleep(5)", 0, "57014", "of the file"},
		{"SELECT pg_sleep(5)", 50 * time.Millisecond, "57014", "policy.statementTimeout"},
	} {
		cfg := config(t, freshURL(t))
		cfg.StatementTimeout = c.timeout
		report, err := postgres.Migrate(t.Context(), cfg, load(t, files("1_a.sql", "CREATE TABLE a (i int);\n"+c.sql)))
		f := report.Failure
		if err == nil || f.SQLState != c.state || !strings.Contains(f.Hint, c.hint) || (f.Hint == "") != (c.hint == "") || c.timeout == 0 && strings.Contains(f.Hint, "policy") {
			t.Errorf("%s: %v", c.sql, err)
		}
	}
}

func TestReadOnlyIsExplained(t *testing.T) {
	url := freshURL(t)
	query(t, url, "ALTER DATABASE "+databaseName(t, url)+" SET default_transaction_read_only = on")
	cfg := config(t, url)
	cfg.Retries = -1
	_, err := postgres.Migrate(t.Context(), cfg, load(t, numbered(1)))
	if postgres.ExitCode(err) != migrations.ExitUnreachable || !strings.Contains(err.Error(), "default_transaction_read_only") {
		t.Errorf("exit %d: %v", postgres.ExitCode(err), err)
	}
}

func TestAMigrationThatHarmsTheLedgerIsNamed(t *testing.T) {
	for harm, state := range map[string]string{
		"DROP SCHEMA schemawave CASCADE":                                 "42P01",
		"ALTER TABLE schemawave.migration RENAME COLUMN checksum TO sum": "42703",
	} {
		url := freshURL(t)
		report, err := postgres.Migrate(t.Context(), config(t, url), load(t, files("1_a.sql", harm, "2_b.sql", "CREATE TABLE b ()")))
		if f := report.Failure; err == nil || f.File != "2_b.sql" || f.SQLState != state || !strings.Contains(f.Hint, "the ledger's tables") || report.Count != 1 {
			t.Errorf("%s: %v", harm, err)
		}
		if got := query(t, url, "SELECT to_regclass('b')"); got[0] != "" {
			t.Errorf("%s: what came after it was applied", harm)
		}
	}
}

// A deferred constraint strikes at COMMIT, after which the session is idle again: only the ledger's chain stops the rest.
func TestFailureAtCommitStopsEverythingAfterIt(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	dir := numbered(20)
	dir["0010_t10.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);
INSERT INTO b VALUES (1);`)}
	report, err := postgres.Migrate(t.Context(), cfg, load(t, dir))
	if err == nil || report.Failure == nil || report.Failure.SQLState != "23503" || report.Failure.File != "0010_t10.sql" {
		t.Fatalf("failure: %+v", report.Failure)
	}
	if got := recorded(t, cfg); len(got) != 9 {
		t.Errorf("recorded: %v", got)
	}
	if n := query(t, url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n[0] != "9" {
		t.Errorf("%s tables, want 9", n[0])
	}
}

// Nor are foreign keys checked where session_replication_role is replica; the ledger's chain holds there too.
func TestFailureAtCommitStopsEverythingAfterItOnAReplica(t *testing.T) {
	cfg := config(t, freshURL(t)+"&session_replication_role=replica")
	dir := numbered(4)
	dir["0002_t2.sql"] = &fstest.MapFile{Data: []byte(`CREATE TABLE b (a int);
CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE CONSTRAINT TRIGGER no AFTER INSERT ON b DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION no();
ALTER TABLE b ENABLE ALWAYS TRIGGER no;
INSERT INTO b VALUES (1);`)}
	report, err := postgres.Migrate(t.Context(), cfg, load(t, dir))
	if err == nil || report.Failure == nil || report.Failure.File != "0002_t2.sql" {
		t.Fatalf("failure: %+v", report.Failure)
	}
	if got := recorded(t, cfg); len(got) != 1 {
		t.Errorf("recorded: %v", got)
	}
	if _, err := postgres.Migrate(t.Context(), cfg, load(t, dir)); err == nil {
		t.Error("the next run takes the migration that failed for applied")
	}
}

func TestNothingConfidentialIsReported(t *testing.T) {
	const secret = "hunter2"
	for name, sql := range map[string]string{
		"value of another type":   "SELECT '" + secret + "'::int",
		"dollar-quoted value":     "SELECT $$" + secret + "$$::int",
		"value with quotes":       `SELECT '"` + secret + `"'::date`,
		"duplicate key":           "CREATE TABLE s (v text UNIQUE); INSERT INTO s VALUES ('" + secret + "'), ('" + secret + "')",
		"check constraint":        "CREATE TABLE s (v text CHECK (v = '')); INSERT INTO s VALUES ('" + secret + "')",
		"syntax error at a value": "SELECT 1 '" + secret + "'",
		"syntax error at E value": "SELECT 1 + FROM E'" + secret + "'",
		"name given as a value":   "SELECT '" + secret + "'::regclass",
		"enum":                    "CREATE TYPE mood AS ENUM ('a'); SELECT '" + secret + "'::mood",
		"json":                    "SELECT '{" + secret + "}'::json",
		"comment":                 "SELECT nix -- " + secret,
		"password":                "ALTER ROLE nobody_here PASSWORD '" + secret + "'",
		"array":                   "SELECT '{" + secret + "'::int[]",
		"text search":             "SELECT to_tsquery(v) FROM (VALUES ('" + secret + " x')) t(v)",
		"subscription":            "CREATE SUBSCRIPTION s CONNECTION 'user=x " + secret + "' PUBLICATION p WITH (connect = false)",
		"fields of a date":        "SELECT make_date(20261122, 99, 1) /* " + secret + " */",
		"number":                  "SELECT 20261122" + "::smallint /* " + secret + " */",
	} {
		t.Run(name, func(t *testing.T) {
			url := strings.Replace(freshURL(t), "postgres@", "postgres:"+secret+"@", 1)
			report, err := postgres.Migrate(t.Context(), config(t, url), load(t, files("1_x.sql", sql)))
			if err == nil {
				t.Fatal("no error")
			}
			b, encodeErr := report.Encode()
			if encodeErr != nil {
				t.Fatal(encodeErr)
			}
			row := query(t, url, "SELECT error FROM schemawave.run")
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), string(b), row[0]} {
				if strings.Contains(text, secret) || strings.Contains(text, "20261122") {
					t.Errorf("tells the secret: %s", text)
				}
			}
			if report.Failure.SQLState == "" || report.Failure.Message == "" || report.Failure.Statement == "" {
				t.Errorf("tells too little: %+v", report.Failure)
			}
		})
	}
}

// A server may speak another language, which quotes in another way.
func TestNothingConfidentialIsReportedInGerman(t *testing.T) {
	t.Setenv("LANGUAGE", "de")
	s, err := postgrestest.Start(t.Context(), postgrestest.Options{Settings: map[string]string{"lc_messages": "C.UTF-8"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for sql, want := range map[string]string{
		"SELECT 'hunter2'::int":                   "ungültige Eingabesyntax für Typ integer: …",
		"SELECT 1 + FROM E'hunter2'":              "Syntaxfehler bei »FROM«",
		"SELECT 1 'hunter2'":                      "Syntaxfehler bei »…«",
		"SELECT 'hunter2'::regrole":               `Rolle "…" existiert nicht`,
		"SELECT x FROM t":                         "Relation »t« existiert nicht",
		"ALTER SUBSCRIPTION hunter2 DISABLE":      "Subskription »hunter2« existiert nicht",
		"SELECT pg_read_file('/hunter2')":         `konnte Datei "…" nicht zum Lesen öffnen: Datei oder Verzeichnis nicht gefunden`,
		"DO 'BEGIN RAISE EXCEPTION $$so$$; END;'": "so",
	} {
		url, err := s.NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := postgrestest.Query(t.Context(), url, "SELECT 1 / 0"); err == nil || !strings.Contains(err.Error(), "Division") {
			t.Skipf("dpkg was told to leave translations out (TestMessagesOfAnyLanguage holds the rule all the same): %v", err)
		}
		report, err := postgres.Migrate(t.Context(), config(t, url), load(t, files("1_x.sql", sql)))
		if err == nil {
			t.Fatalf("%s: no error", sql)
		}
		if got := report.Failure.Message; got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
}

func TestFailureKeepsNames(t *testing.T) {
	report, err := postgres.Migrate(t.Context(), config(t, freshURL(t)), load(t, files(
		"1_a.sql", "CREATE TABLE orders (id int); INSERT INTO orders VALUES (NULL);",
		"2_b.sql", `ALTER TABLE orders ALTER COLUMN id SET NOT NULL`)))
	if err == nil {
		t.Fatal("no error")
	}
	if m := report.Failure.Message; m != `column "id" of relation "orders" contains null values` {
		t.Errorf("message: %s", m)
	}
	if report.Failure.Hint == "" {
		t.Error("no hint")
	}
	var decoded map[string]any
	b, _ := report.Encode()
	if err := json.Unmarshal(b, &decoded); err != nil || decoded["outcome"] != "failed" {
		t.Errorf("%s", b)
	}
}

// What one migration sets must not be in force for the next, nor may it unset the runner's own settings or lock.
func TestSettingsDoNotLeak(t *testing.T) {
	url := freshURL(t)
	role := "leak_" + databaseName(t, url)
	query(t, url, "CREATE ROLE "+role+"; CREATE SCHEMA other; GRANT ALL ON SCHEMA other TO "+role+"; GRANT ALL ON SCHEMA public TO "+role)
	cfg := config(t, url)
	migrate(t, cfg, load(t, files(
		"1_a.sql", "SET search_path TO other; SET ROLE "+role+"; SET lock_timeout TO '7min'; SET standard_conforming_strings TO on; CREATE TABLE in_other (id int); CREATE TEMP TABLE scratch (id int); PREPARE p AS SELECT 1; SELECT set_config('statement_timeout', '9min', false);",
		"2_b.sql", "CREATE TABLE seen AS SELECT current_user::text AS who, current_setting('search_path') AS path, current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement, to_regclass('scratch') IS NULL AS clean, (SELECT count(*) FROM pg_prepared_statements) AS prepared, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks;",
	)))
	got := query(t, url, "SELECT * FROM public.seen")
	if want := `postgres|"$user", public|300ms|0|t|0|1`; got[0] != want {
		t.Errorf("%s, want %s", got[0], want)
	}
	if owner := query(t, url, "SELECT tableowner FROM pg_tables WHERE tablename = 'in_other' AND schemaname = 'other'"); len(owner) != 1 || owner[0] != role {
		t.Errorf("owner of other.in_other: %v", owner)
	}
}

// What the URL sets is in force for migrations, however it says so.
func TestTheURLDecidesTimeouts(t *testing.T) {
	for _, said := range []string{"&lock_timeout=7s&statement_timeout=8s", "&options=-c%20lock_timeout%3D7s%20-c%20statement_timeout%3D8s", "&options=--lock_timeout%3D7s%20--statement_timeout%3D8s",
		"&options=-clock-timeout%3D7s%20--STATEMENT-timeout%3D8s"} {
		url := freshURL(t)
		migrate(t, config(t, url+said), load(t, files("1_a.sql", "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement")))
		if got := query(t, url, "SELECT * FROM seen"); got[0] != "7s|8s" {
			t.Errorf("%s: %v", said, got)
		}
	}
}

// What the URL's options do not name stays as it is, though they name something that ends the same.
func TestOptionsOfTheURLDecideNothingElse(t *testing.T) {
	url := freshURL(t)
	migrate(t, config(t, url+"&options=-c%20deadlock_timeout%3D3s"), load(t, files("1_a.sql", "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock")))
	if got := query(t, url, "SELECT * FROM seen"); got[0] != "300ms" {
		t.Errorf("lock_timeout is %s", got[0])
	}
}

// Text is UTF-8 and a backslash is one, whatever the URL says: else the ledger would keep another down script than the file has.
func TestTheURLDoesNotDecideWhatStringsMean(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url+"&standard_conforming_strings=off&client_encoding=LATIN1")
	const down = `SELECT 'ü\'' -- '`
	migrate(t, cfg, load(t, files("1_a.up.sql", `CREATE TABLE a AS SELECT 'ü\n'::text AS v`, "1_a.down.sql", down)))
	if got := query(t, url, "SELECT v FROM a"); got[0] != `ü\n` {
		t.Errorf("%q", got)
	}
	if history, err := postgres.Status(t.Context(), cfg); err != nil || history.Migrations[0].Down != down {
		t.Errorf("%v: %+v", err, history)
	}
}

// A migration that reads what an earlier one has drawn from a sequence depends on running in the same session: it must fail at once.
func TestSequencesDoNotRememberAnotherMigration(t *testing.T) {
	report, err := postgres.Migrate(t.Context(), config(t, freshURL(t)), load(t, files(
		"1_a.sql", "CREATE SEQUENCE s; SELECT nextval('s')", "2_b.sql", "SELECT currval('s')")))
	if err == nil || report.Failure.SQLState != "55000" || report.Failure.File != "2_b.sql" {
		t.Errorf("%v", err)
	}
}

func TestPermissionDenied(t *testing.T) {
	url := freshURL(t)
	role := "outsider_" + databaseName(t, url)
	query(t, url, "CREATE ROLE "+role+" LOGIN")
	cfg := config(t, strings.Replace(url, "postgres@", role+"@", 1))
	_, err := postgres.Migrate(t.Context(), cfg, load(t, numbered(1)))
	if postgres.ExitCode(err) != migrations.ExitDenied || !strings.Contains(err.Error(), "CREATE SCHEMA") {
		t.Errorf("exit %d: %v", postgres.ExitCode(err), err)
	}
}

func TestConnectFailures(t *testing.T) {
	good := freshURL(t)
	for name, c := range map[string]struct {
		url  string
		code migrations.ExitCode
	}{
		"no such database":  {server.URL("nowhere"), migrations.ExitConfig},
		"nobody listens":    {"postgres://postgres:hunter2@127.0.0.1:1/x?sslmode=disable", migrations.ExitUnreachable},
		"unknown parameter": {good + "&schema=public", migrations.ExitConfig},
		"no such role":      {strings.Replace(good, "postgres@", "nobody_here:hunter2@", 1), migrations.ExitDenied},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, c.url)
			cfg.Retries = 1
			report, err := postgres.Migrate(t.Context(), cfg, load(t, numbered(1)))
			if postgres.ExitCode(err) != c.code || report.Failure == nil || report.Failure.Hint == "" {
				t.Errorf("exit %d, want %d: %v", postgres.ExitCode(err), c.code, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("tells the password: %v", err)
			}
		})
	}
}

func TestParseConfigNeverRepeatsTheURL(t *testing.T) {
	for _, url := range []string{
		"postgres://user:hunter2@host:port/db", "postgres://user:hun/ter2@h/db", "postgres://u:hunter2@[::1/db", "hunter2", "host=a password='hunter2",
		"postgres://u:%zzhunter2@h/db", "postgres://u:p@h/db?sslmode=hunter2", "postgres://u:p@h/db?sslrootcert=/hunter2",
	} {
		_, err := postgres.ParseConfig(func(name string) string {
			return map[string]string{"DATABASE_URL": url}[name]
		})
		if postgres.ExitCode(err) != migrations.ExitConfig || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := postgres.ParseConfig(func(string) string { return "" }); postgres.ExitCode(err) != migrations.ExitConfig {
		t.Errorf("nothing set: %v", err)
	}
}

func TestParseConfigTakesLibpqVariables(t *testing.T) {
	conn, err := postgres.ParseConfig(func(name string) string {
		return map[string]string{"PGHOST": "db.example", "PGPORT": "6543", "PGUSER": "it's", "PGPASSWORD": `a\b'c`, "PGDATABASE": "o"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if conn.Host != "db.example" || conn.Port != 6543 || conn.User != "it's" || conn.Password != `a\b'c` || conn.Database != "o" {
		t.Errorf("%+v", conn)
	}
}
