package migrationstest

import (
	"context"
	"fmt"
	"slices"
	"testing/fstest"

	"github.com/schemawave/schemawave/migrations"
)

// repeating makes a set of versioned files and of repeatable ones, by name.
func repeating(versioned files, repeatable map[string]string) migrations.Set {
	dir := fstest.MapFS{}
	for v, sql := range versioned {
		dir["V"+string(v)+"__step.sql"] = &fstest.MapFile{Data: []byte(sql)}
	}
	for n, sql := range repeatable {
		dir[repeatableName(n)] = &fstest.MapFile{Data: []byte(sql)}
	}
	set, _ := migrations.Load(dir, migrations.LayoutFlyway) // as in files.set
	return set
}

// repeatableName is the file of a repeatable migration.
func repeatableName(n string) string { return "R__" + n + ".sql" }

// holdsRepeated compares the database with what these versions make of it, applied in this order, and after them the
// repeatable files, of which the ledger knows the named ones.
func holdsRepeated(ctx context.Context, db Database, set migrations.Set, versions []migrations.Version, named []string, entered ...string) error {
	ledger, steps := made(versions)
	for _, n := range named {
		ledger = append(ledger, migrations.Migration{Name: n}.ID())
	}
	return shows(ctx, db, set.HistoryDigest(), append(steps, entered...), ledger)
}

func repeatables(ctx context.Context, db Database) error {
	set := repeating(steps("2"), map[string]string{"b": enter("b"), "a": enter("a")})
	versions := []migrations.Version{first, "2"}
	if _, err := succeed(ctx, db, set, Options{}, wanted{migrations.OutcomeSucceeded, "", "2", versions}, "a", "b"); err != nil {
		return err
	}
	if err := holdsRepeated(ctx, db, set, versions, []string{"a", "b"}, "a", "b"); err != nil {
		return err
	}
	applied, _, err := db.History(ctx)
	if err != nil {
		return err
	}
	for i, m := range set.Repeatables {
		if want := (migrations.Applied{Name: m.Name, Checksum: m.Checksum}); applied[len(versions)+i] != want {
			return fmt.Errorf("the ledger has %+v, want %+v", applied[len(versions)+i], want)
		}
	}
	before, err := look(ctx, db)
	if err != nil {
		return err
	}
	if _, err := succeed(ctx, db, set, Options{}, wanted{migrations.OutcomeCurrent, "2", "2", nil}); err != nil {
		return err
	}
	return unchanged(ctx, db, before)
}

func repeatedOnChange(ctx context.Context, db Database) error {
	for _, run := range []struct {
		versioned  files
		repeatable map[string]string
		want       wanted
		repeated   []string
	}{
		{steps("2"), map[string]string{"a": enter("a"), "b": enter("b")}, wanted{migrations.OutcomeSucceeded, "", "2", []migrations.Version{first, "2"}}, []string{"a", "b"}},
		{steps("2"), map[string]string{"a": enter("a"), "b": enter("b again")}, wanted{migrations.OutcomeSucceeded, "2", "2", nil}, []string{"b"}},
		{steps("2", "3"), map[string]string{"a": enter("a"), "b": enter("b again")}, wanted{migrations.OutcomeSucceeded, "2", "3", []migrations.Version{"3"}}, nil},
		{steps("2", "3", "4"), map[string]string{"a": enter("a again"), "b": enter("b again")}, wanted{migrations.OutcomeSucceeded, "3", "4", []migrations.Version{"4"}}, []string{"a"}},
		{steps("2", "3", "4"), map[string]string{"b": enter("b again")}, wanted{migrations.OutcomeCurrent, "4", "4", nil}, nil},
	} {
		if _, err := succeed(ctx, db, repeating(run.versioned, run.repeatable), Options{}, run.want, run.repeated...); err != nil {
			return err
		}
	}
	s, err := look(ctx, db)
	if want := []string{"2", "a", "b", "b again", "3", "4", "a again"}; err == nil && !slices.Equal(s.steps, want) {
		return fmt.Errorf("the migrations have entered %v, want %v", s.steps, want)
	}
	return err
}

func repeatableFailure(ctx context.Context, db Database) error {
	mended := map[string]string{"a": enter("a"), "b": enter("b"), "c": enter("c")}
	versions := []migrations.Version{first, "2"}
	broken := repeating(steps("2"), map[string]string{"a": enter("a"), "b": brokenSQL, "c": enter("c")})
	for range 2 {
		report, runErr, err := fail(ctx, db, broken, Options{})
		if err != nil {
			return err
		}
		if f := report.Failure; report.To != "2" || f.File != repeatableName("b") || f.Line != brokenLine || !f.Permanent {
			return fmt.Errorf("report to %q of %+v (%w); want 2 and a permanent failure of %s:%d", report.To, *f, runErr, repeatableName("b"), brokenLine)
		}
		if err := holdsRepeated(ctx, db, broken, versions, []string{"a"}, "a"); err != nil {
			return err
		}
	}
	set := repeating(steps("2"), mended)
	if _, err := succeed(ctx, db, set, Options{}, wanted{migrations.OutcomeSucceeded, "2", "2", nil}, "b", "c"); err != nil {
		return err
	}
	return holdsRepeated(ctx, db, set, versions, []string{"a", "b", "c"}, "a", "b", "c")
}

func notRepeated(ctx context.Context, db Database) error {
	set := repeating(steps("2", "3"), map[string]string{"a": enter("a")})
	if _, err := succeed(ctx, db, set, Options{Target: "2"}, wanted{migrations.OutcomeSucceeded, "", "2", []migrations.Version{first, "2"}}); err != nil {
		return err
	}
	if _, err := succeed(ctx, db, set, Options{Target: "3"}, wanted{migrations.OutcomeSucceeded, "2", "3", []migrations.Version{"3"}}, "a"); err != nil {
		return err
	}
	older := repeating(steps("2"), map[string]string{"a": enter("older"), "b": enter("older")})
	if _, err := succeed(ctx, db, older, Options{}, wanted{migrations.OutcomeAhead, "3", "3", nil}); err != nil {
		return err
	}
	return holdsRepeated(ctx, db, set, []migrations.Version{first, "2", "3"}, []string{"a"}, "a")
}
