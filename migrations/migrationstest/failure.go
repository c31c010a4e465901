package migrationstest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// brokenSQL fails in its third statement, at line 4, which names a column in its column 8.
const (
	brokenSQL  = "CREATE TABLE half (n text);\nINSERT INTO step (n) VALUES ('half');\n\n SELECT nowhere FROM step;\nSELECT 1;"
	brokenLine = 4
)

func failure(ctx context.Context, db Database) error {
	mended := steps("2", "3", "4")
	broken := mended.with("3", brokenSQL).set()
	for range 2 {
		report, _, err := fail(ctx, db, broken, Options{})
		if err != nil {
			return err
		}
		if report.To != "2" || report.Failure.File != name("3") || !report.Failure.Permanent {
			return fmt.Errorf("report to %q of %+v; want 2 and a permanent failure of %s", report.To, *report.Failure, name("3"))
		}
		if err := holds(ctx, db, steps("2").set().Digest(), first, "2"); err != nil {
			return err
		}
		if tables, err := db.Query(ctx, tablesSQL); err != nil || slices.Contains(tables, "half") {
			return fmt.Errorf("a migration that failed has left its table among %v (%v)", tables, err)
		}
	}
	all := mended.set()
	if _, err := succeed(ctx, db, all, Options{}, wanted{migrations.OutcomeSucceeded, "2", "4", []migrations.Version{"3", "4"}}); err != nil {
		return err
	}
	return holds(ctx, db, all.Digest(), first, "2", "3", "4")
}

func failurePlace(ctx context.Context, db Database) error {
	report, runErr, err := fail(ctx, db, steps("2").with("3", brokenSQL).set(), Options{})
	if err != nil {
		return err
	}
	f := *report.Failure
	switch {
	case f.File != name("3") || f.Line != brokenLine || f.Column != 2 && f.Column != 9:
		return fmt.Errorf("the place is %s:%d:%d, want %s:%d, at the statement or at the name that is wrong", f.File, f.Line, f.Column, name("3"), brokenLine)
	case f.SQLState != "42703":
		return fmt.Errorf("the SQLSTATE is %q, want 42703", f.SQLState)
	case !strings.HasPrefix(f.Statement, "SELECT nowhere"):
		return fmt.Errorf("the statement is %q, want the one that failed", f.Statement)
	case !strings.Contains(runErr.Error(), fmt.Sprintf("%s:%d", name("3"), brokenLine)):
		return fmt.Errorf("the error does not name the place: %w", runErr)
	case report.Count != 2 || !slices.Equal(report.Applied, []migrations.Version{first, "2"}):
		return fmt.Errorf("the report has %d applied, %v; want %s and 2", report.Count, report.Applied, first)
	}
	return nil
}

// secret is what only literals and comments of the following statements hold; the server quotes it in its messages.
const secret = "hunter2"

func confidential(ctx context.Context, db Database) error {
	for _, sql := range []string{
		"CREATE TABLE secret (v text UNIQUE);\nINSERT INTO secret (v) VALUES ('" + secret + "'), ('" + secret + "');",
		"SELECT '" + secret + "'::int;",
		"SELECT $$" + secret + "$$::date; -- " + secret,
		"SELECT nowhere, '" + secret + "' /* " + secret + " */;",
	} {
		report, runErr, err := fail(ctx, db, steps().with("2", sql).set(), Options{})
		if err != nil {
			return err
		}
		encoded, err := report.Encode()
		if err != nil {
			return err
		}
		for _, text := range []string{runErr.Error(), fmt.Sprintf("%+v", runErr), string(encoded)} {
			if strings.Contains(text, secret) {
				return fmt.Errorf("a value of %q is told: %s", sql, text)
			}
		}
		if report.Failure.Statement == "" || report.Failure.SQLState == "" {
			return fmt.Errorf("too little is told of %q: %+v", sql, *report.Failure)
		}
	}
	return nil
}

// longRun is how many migrations go before the one that fails in longReport.
const longRun = 150

func longReport(ctx context.Context, db Database) error {
	f := steps()
	for i := range longRun {
		v := migrations.Version(fmt.Sprintf("2026112209%04d", i))
		f[v] = enter(string(v))
	}
	f["20271122093000"] = "SELECT " + strings.Repeat("nowhere, ", 4000) + "nowhere FROM step;"
	report, _, err := fail(ctx, db, f.set(), Options{})
	if err != nil {
		return err
	}
	if report.Count != longRun+1 || report.Failure.File != name("20271122093000") || report.Failure.Line != 1 {
		return fmt.Errorf("report of %d applied and of %+v", report.Count, *report.Failure)
	}
	return nil
}

func resumed(ctx context.Context, db Database) error {
	set := steps("4").with("3", "-- schemawave: no-transaction\n"+enter("3")+"\nINSERT INTO later (n) VALUES ('3');\n"+enter("3 again")).set()
	for range 2 {
		report, _, err := fail(ctx, db, set, Options{})
		if err != nil {
			return err
		}
		if report.Failure.File != name("3") || report.Failure.Line != 3 {
			return fmt.Errorf("report of %+v, want %s:3", *report.Failure, name("3"))
		}
		s, err := look(ctx, db)
		if err != nil {
			return err
		}
		if !slices.Equal(s.steps, []string{"3"}) || len(s.applied) != 1 {
			return fmt.Errorf("the migrations have entered %v, the ledger has %+v; want the statement before the one that failed, and %s", s.steps, s.applied, first)
		}
	}
	if _, err := db.Query(ctx, "CREATE TABLE later (n text)"); err != nil {
		return err
	}
	if _, err := succeed(ctx, db, set, Options{}, wanted{migrations.OutcomeSucceeded, first, "4", []migrations.Version{"3", "4"}}); err != nil {
		return err
	}
	s, err := look(ctx, db)
	if err != nil {
		return err
	}
	later, err := db.Query(ctx, laterSQL)
	if err != nil || !slices.Equal(s.steps, []string{"3", "3 again", "4"}) || len(later) != 1 || s.digest != set.Digest() {
		return fmt.Errorf("the migrations have entered %v and %v (%v), and the ledger shows the digest %s; want each once, and %s", s.steps, later, err, s.digest, set.Digest())
	}
	return nil
}
