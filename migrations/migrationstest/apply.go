package migrationstest

import (
	"context"
	"errors"
	"fmt"

	"github.com/schemawave/schemawave/migrations"
)

func freshRun(ctx context.Context, db Database) error {
	all := steps("2", "3", "10", "11").set()
	if _, err := succeed(ctx, db, all, Options{}, wanted{migrations.OutcomeSucceeded, "", "11", []migrations.Version{first, "2", "3", "10", "11"}}); err != nil {
		return err
	}
	if err := holds(ctx, db, all.Digest(), first, "2", "3", "10", "11"); err != nil {
		return err
	}
	applied, _, err := db.History(ctx)
	if err != nil {
		return err
	}
	for i, m := range all.Migrations {
		if want := (migrations.Applied{Version: m.Version, Name: m.Name, Checksum: m.Checksum}); applied[i] != want {
			return fmt.Errorf("the ledger has %+v, want %+v", applied[i], want)
		}
	}
	return nil
}

func secondRun(ctx context.Context, db Database) error {
	all := steps("2").set()
	one, err := succeed(ctx, db, all, Options{}, wanted{migrations.OutcomeSucceeded, "", "2", []migrations.Version{first, "2"}})
	if err != nil {
		return err
	}
	before, err := look(ctx, db)
	if err != nil {
		return err
	}
	two, err := succeed(ctx, db, all, Options{}, wanted{migrations.OutcomeCurrent, "2", "2", nil})
	if err != nil {
		return err
	}
	if one.Run == two.Run {
		return fmt.Errorf("two runs have the id %s", one.Run)
	}
	return unchanged(ctx, db, before)
}

func target(ctx context.Context, db Database) error {
	all := steps("2", "3", "4").set()
	upto, err := all.Upto("3")
	if err != nil {
		return err
	}
	if _, err := succeed(ctx, db, all, Options{Target: "3"}, wanted{migrations.OutcomeSucceeded, "", "3", []migrations.Version{first, "2", "3"}}); err != nil {
		return err
	}
	if err := holds(ctx, db, upto.Digest(), first, "2", "3"); err != nil {
		return err
	}
	if _, err := succeed(ctx, db, all, Options{Target: "latest"}, wanted{migrations.OutcomeSucceeded, "3", "4", []migrations.Version{"4"}}); err != nil {
		return err
	}
	return holds(ctx, db, all.Digest(), first, "2", "3", "4")
}

func unknownTarget(ctx context.Context, db Database) error {
	return refused(ctx, db, steps("2", "4").set(), Options{Target: "3"}, "", as[*migrations.UnknownVersionError]())
}

func minCompatible(ctx context.Context, db Database) error {
	const third = "-- schemawave: min-compatible 2\n"
	all := steps("2", "4").with("3", third+enter("3"))
	for _, run := range []struct {
		files files
		want  wanted
	}{
		{steps("2"), wanted{migrations.OutcomeSucceeded, "", "2", []migrations.Version{first, "2"}}},
		{all, wanted{migrations.OutcomeSucceeded, "2", "4", []migrations.Version{"3", "4"}}},
		{all, wanted{migrations.OutcomeCurrent, "4", "4", nil}},
		{steps("2"), wanted{migrations.OutcomeAhead, "4", "4", nil}},
	} {
		report, err := succeed(ctx, db, run.files.set(), Options{}, run.want)
		if err != nil {
			return err
		}
		if want := map[migrations.Version]migrations.Version{"4": "2"}[run.want.to]; report.MinCompatible != want {
			return fmt.Errorf("min-compatible is %q in the report of %+v, want %q", report.MinCompatible, run.want, want)
		}
	}
	applied, _, err := db.History(ctx)
	if err != nil {
		return err
	}
	if applied[2].MinCompatible != "2" {
		return fmt.Errorf("the ledger has %+v, want min-compatible 2", applied[2])
	}
	return nil
}

func ahead(ctx context.Context, db Database) error {
	all := steps("2", "3")
	if _, err := succeed(ctx, db, all.set(), Options{}, wanted{migrations.OutcomeSucceeded, "", "3", []migrations.Version{first, "2", "3"}}); err != nil {
		return err
	}
	before, err := look(ctx, db)
	if err != nil {
		return err
	}
	older := all.without("3").set()
	if _, err := succeed(ctx, db, older, Options{}, wanted{migrations.OutcomeAhead, "3", "3", nil}); err != nil {
		return err
	}
	return unchanged(ctx, db, before)
}

// manyRunnersAtOnce is how many that is.
const manyRunnersAtOnce = 8

func manyRunners(ctx context.Context, db Database) error {
	all := repeating(steps("2", "3", "4", "5", "6", "7", "8", "9"), map[string]string{"a": enter("a")})
	type result struct {
		report migrations.Report
		err    error
	}
	results := make(chan result, manyRunnersAtOnce)
	start := make(chan struct{})
	for range manyRunnersAtOnce {
		go func() {
			<-start
			report, err := db.Migrate(ctx, all, Options{})
			results <- result{report, errors.Join(err, wellFormed(report, all, Options{}, err))}
		}()
	}
	close(start)
	var errs []error
	count, runs := 0, map[string]bool{}
	for range manyRunnersAtOnce {
		r := <-results
		errs = append(errs, r.err)
		count += r.report.Count
		runs[r.report.Run] = true
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if count != len(all.All()) || len(runs) != manyRunnersAtOnce {
		return fmt.Errorf("%d runs, of %d ids, say that they have applied %d migrations, want %d", manyRunnersAtOnce, len(runs), count, len(all.All()))
	}
	var versions []migrations.Version
	for _, m := range all.Migrations {
		versions = append(versions, m.Version)
	}
	return holdsRepeated(ctx, db, all, versions, []string{"a"}, "a")
}
