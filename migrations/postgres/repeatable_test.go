package postgres_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// saying is a directory whose versions 1 and 2 make a table that repeatable files enter what they do into.
func saying(pairs ...string) fstest.MapFS {
	dir := fstest.MapFS{
		"V1__log.sql":   {Data: []byte("CREATE TABLE log (id serial PRIMARY KEY, what text);")},
		"V2__start.sql": {Data: []byte("INSERT INTO log (what) VALUES ('2');")},
	}
	maps.Copy(dir, files(pairs...).(fstest.MapFS))
	return dir
}

// says is the SQL that enters a word.
func says(what string) string { return "INSERT INTO log (what) VALUES ('" + what + "');" }

// said lists the log.
func said(t *testing.T, url string) string {
	t.Helper()
	return strings.Join(query(t, url, "SELECT what FROM log ORDER BY id"), " ")
}

func TestRepeatablesRunAfterTheVersions(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	set := load(t, saying("R__b.sql", "CREATE OR REPLACE VIEW doubled AS SELECT * FROM one;"+says("b"),
		"R__a.sql", "CREATE OR REPLACE VIEW one AS SELECT what FROM log;"+says("a"), "V3__more.sql", says("3")))
	report := migrate(t, cfg, set)
	if report.Outcome != migrations.OutcomeSucceeded || report.Count != 5 || report.To != "3" || len(report.Applied) != 3 ||
		!slices.Equal(report.Repeated, []string{"a", "b"}) || report.Digest != set.Digest() {
		t.Errorf("report: %+v", report)
	}
	if got := said(t, url); got != "2 3 a b" {
		t.Errorf("log: %s", got)
	}
	history, err := postgres.Status(t.Context(), cfg)
	if err != nil || len(history.Migrations) != 3 || len(history.Repeatable) != 2 || history.Migrations[2].Digest != set.HistoryDigest() {
		t.Fatalf("history: %+v, %v", history, err)
	}
	for i, r := range history.Repeatable {
		if m := set.Repeatables[i]; r.Version != "" || r.Name != m.Name || r.Checksum != m.Checksum || r.Took <= 0 || r.Run != report.Run || r.AppliedAt.IsZero() {
			t.Errorf("recorded: %+v", r)
		}
	}
}

func TestRepeatableRunsAgainOnChangeOnly(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	first := migrate(t, cfg, load(t, saying("R__a.sql", says("a"), "R__b.sql", says("b"))))
	edited := load(t, saying("R__a.sql", says("a"), "R__b.sql", says("b2")))
	second := migrate(t, cfg, edited)
	if second.Outcome != migrations.OutcomeSucceeded || second.Count != 1 || second.From != "2" || second.To != "2" || !slices.Equal(second.Repeated, []string{"b"}) {
		t.Errorf("after an edit: %+v", second)
	}
	if report := migrate(t, cfg, edited); report.Outcome != migrations.OutcomeCurrent || report.Count != 0 {
		t.Errorf("after nothing: %+v", report)
	}
	report := migrate(t, cfg, load(t, saying("R__a.sql", says("a"), "R__b.sql", says("b2"), "V3__more.sql", says("3"))))
	if report.Count != 1 || report.To != "3" || len(report.Repeated) != 0 {
		t.Errorf("after a new version: %+v", report)
	}
	if got := said(t, url); got != "2 a b b2 3" {
		t.Errorf("log: %s", got)
	}
	runs := query(t, url, "SELECT run FROM schemawave.repeatable ORDER BY name")
	if !slices.Equal(runs, []string{first.Run, second.Run}) {
		t.Errorf("run last by %v, want %s and %s", runs, first.Run, second.Run)
	}
}

// The rows of the file that failed and of those after it stay as they were, wherever in the transaction it failed.
func TestFailingRepeatableStopsThoseAfterIt(t *testing.T) {
	const deferred = "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED); "
	for name, c := range map[string]struct {
		bad, state string
		line       int
	}{
		"statement": {"SELECT 1;\n" + says("bad") + "\n  SELECT * FROM nowhere;", "42P01", 3},
		"commit":    {deferred + says("bad") + "\nINSERT INTO child VALUES (1);", "23503", 0},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			migrate(t, cfg, load(t, saying("R__a.sql", says("a"), "R__b.sql", says("b"), "R__c.sql", says("c"))))
			const rows = "SELECT name, checksum, after, run, applied_at, duration FROM schemawave.repeatable WHERE name <> 'a' ORDER BY name"
			before := query(t, url, rows)

			bad := saying("R__a.sql", says("a2"), "R__b.sql", c.bad, "R__c.sql", says("c2"), "V3__more.sql", says("3"))
			report, err := postgres.Migrate(t.Context(), cfg, load(t, bad))
			if f := report.Failure; postgres.ExitCode(err) != migrations.ExitRejected || f == nil || f.File != "R__b.sql" || f.Line != c.line || f.SQLState != c.state {
				t.Fatalf("%v: %+v", err, f)
			}
			if report.Count != 2 || report.To != "3" || !slices.Equal(report.Repeated, []string{"a"}) {
				t.Errorf("report: %+v", report)
			}
			if after := query(t, url, rows); !slices.Equal(after, before) {
				t.Errorf("recorded: %v, before: %v", after, before)
			}
			if got := said(t, url); got != "2 a b c 3 a2" {
				t.Errorf("log: %s", got)
			}

			bad["R__b.sql"] = &fstest.MapFile{Data: []byte(says("b2"))}
			if report := migrate(t, cfg, load(t, bad)); report.Count != 2 || !slices.Equal(report.Repeated, []string{"b", "c"}) {
				t.Errorf("after the repair: %+v", report)
			}
			if got := said(t, url); got != "2 a b c 3 a2 b2 c2" {
				t.Errorf("log after the repair: %s", got)
			}
		})
	}
}

func TestNothingToRepeatIsOneConnectionAndOneQuery(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	set := load(t, saying("R__a.sql", says("a"), "R__it's.sql", says("b")))
	migrate(t, cfg, set)
	w := &wire{}
	w.tap(&cfg)
	report := migrate(t, cfg, set)
	if dials, flights, queries := w.counts(); dials != 1 || queries != 1 || flights > 3 {
		t.Errorf("%d connections, %d queries, %d flights", dials, queries, flights)
	}
	if report.Outcome != migrations.OutcomeCurrent || report.From != "2" || report.To != "2" {
		t.Errorf("report: %+v", report)
	}
}

// tableLater is what the statements below lack at first.
const tableLater = "CREATE TABLE later (v int)"

// steady is a repeatable file that runs outside a transaction and fails at its line 4, until there is a table later.
func steady(first, second string) string {
	return "-- schemawave: no-transaction\n" + says(first) + "\n" + says(second) + "\nINSERT INTO later VALUES (1);\n" + says("end")
}

func TestRepeatableOutsideATransactionIsJournalled(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	set := load(t, saying("R__a.sql", steady("a", "b"), "R__b.sql", says("after")))
	for range 2 {
		report, err := postgres.Migrate(t.Context(), cfg, set)
		var e *postgres.Error
		if !errors.As(err, &e) || e.Failure.File != "R__a.sql" || e.Failure.Line != 4 || len(report.Repeated) != 0 {
			t.Fatalf("%v: %+v", err, report)
		}
		if got := said(t, url); got != "2 a b" {
			t.Errorf("log: %s", got)
		}
	}
	history, err := postgres.Status(t.Context(), cfg)
	if err != nil || !slices.Equal(history.Unfinished, []string{"R__a"}) || len(history.Repeatable) != 0 {
		t.Errorf("history: %+v, %v", history, err)
	}
	query(t, url, tableLater)
	if report := migrate(t, cfg, set); !slices.Equal(report.Repeated, []string{"a", "b"}) {
		t.Errorf("report: %+v", report)
	}
	if got := said(t, url); got != "2 a b end after" {
		t.Errorf("log: %s", got)
	}
	if history, err := postgres.Status(t.Context(), cfg); err != nil || len(history.Unfinished) != 0 || len(history.Repeatable) != 2 {
		t.Errorf("history: %+v, %v", history, err)
	}
}

// What a half-run file has left is not kept: another version of it starts from its first statement.
func TestEditedRepeatableOutsideATransactionBeginsAnew(t *testing.T) {
	for name, next := range map[string]string{"changed": steady("a", "B"), "shortened": "-- schemawave: no-transaction\n" + says("a")} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			if _, err := postgres.Migrate(t.Context(), cfg, load(t, saying("R__a.sql", steady("a", "b")))); err == nil {
				t.Fatal("no error")
			}
			query(t, url, tableLater)
			migrate(t, cfg, load(t, saying("R__a.sql", next)))
			want := map[string]string{"changed": "2 a b a B end", "shortened": "2 a b a"}[name]
			if got := said(t, url); got != want {
				t.Errorf("log: %s, want %s", got, want)
			}
			if history, err := postgres.Status(t.Context(), cfg); err != nil || len(history.Unfinished) != 0 {
				t.Errorf("history: %+v, %v", history, err)
			}
		})
	}
}

// A new version was half run when the file was put back as it had been: what the old version makes is no longer there, though
// it is the one recorded.
func TestRepeatableThatIsPutBackRunsAgain(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	old := load(t, saying("R__a.sql", says("old")))
	migrate(t, cfg, old)
	if _, err := postgres.Migrate(t.Context(), cfg, load(t, saying("R__a.sql", steady("new", "b")))); err == nil {
		t.Fatal("no error")
	}
	if report := migrate(t, cfg, old); !slices.Equal(report.Repeated, []string{"a"}) {
		t.Errorf("report: %+v", report)
	}
	if got := said(t, url); got != "2 old new b old" {
		t.Errorf("log: %s", got)
	}
	if history, err := postgres.Status(t.Context(), cfg); err != nil || len(history.Unfinished) != 0 {
		t.Errorf("history: %+v, %v", history, err)
	}
	if report := migrate(t, cfg, old); report.Outcome != migrations.OutcomeCurrent {
		t.Errorf("once more: %+v", report)
	}
	query(t, url, tableLater)
	migrate(t, cfg, load(t, saying("R__a.sql", steady("new", "b"))))
	if got := said(t, url); got != "2 old new b old new b end" {
		t.Errorf("log after the new version has come again: %s", got)
	}
}

// The connection breaks at every single write in turn, before or after it reached the server: every file still runs once.
func TestConnectionLostWhileRepeating(t *testing.T) {
	set := load(t, saying("R__a.sql", says("a"), "R__b.sql", "-- schemawave: no-transaction\n"+says("b")+"\nCREATE INDEX CONCURRENTLY i ON log (what);",
		"R__c.sql", says("c"), "R__d.sql", says("d")))
	url := freshURL(t)
	for _, after := range []bool{false, true} {
		for k := 1; ; k++ {
			emptyDatabase(t, url)
			cfg := config(t, url)
			writes := 0
			w := &wire{breakAfter: after, breakAt: func([]byte) bool { writes++; return writes == k }}
			w.tap(&cfg)
			report, err := postgres.Migrate(t.Context(), cfg, set)
			if err != nil {
				t.Fatalf("lost at write %d (after: %t): %v", k, after, err)
			}
			if report.Outcome == migrations.OutcomeSucceeded && (report.Count != 6 || !slices.Equal(report.Repeated, []string{"a", "b", "c", "d"})) {
				t.Errorf("lost at write %d (after: %t): %+v", k, after, report)
			}
			if got := said(t, url); got != "2 a b c d" {
				t.Errorf("lost at write %d (after: %t): log %s", k, after, got)
			}
			if report := migrate(t, config(t, url), set); report.Outcome != migrations.OutcomeCurrent {
				t.Errorf("lost at write %d (after: %t): then %+v", k, after, report)
			}
			if writes < k {
				break
			}
		}
	}
}
