package migrationstest

import (
	"context"
	"fmt"

	"github.com/schemawave/schemawave/migrations"
)

// begun applies the versions 1, 10 and 30.
func begun(ctx context.Context, db Database) (files, error) {
	f := steps("10", "30")
	_, err := succeed(ctx, db, f.set(), Options{}, wanted{migrations.OutcomeSucceeded, "", "30", []migrations.Version{first, "10", "30"}})
	return f, err
}

func edited(ctx context.Context, db Database) error {
	f, err := begun(ctx, db)
	if err != nil {
		return err
	}
	f = f.with("10", enter("10")+" -- edited").with("40", enter("40"))
	return refused(ctx, db, f.set(), Options{}, name("10"), only(as[*migrations.EditedError]()))
}

func missing(ctx context.Context, db Database) error {
	f, err := begun(ctx, db)
	if err != nil {
		return err
	}
	f = f.without("10").with("40", enter("40"))
	return refused(ctx, db, f.set(), Options{}, "", only(as[*migrations.MissingFileError]()))
}

func deviations(ctx context.Context, db Database) error {
	f, err := begun(ctx, db)
	if err != nil {
		return err
	}
	f = f.without("10").with("20", enter("20")).with("30", enter("30")+"\n")
	return refused(ctx, db, f.set(), Options{}, name("30"), func(err error) bool {
		return as[*migrations.EditedError]()(err) && as[*migrations.MissingFileError]()(err) && as[*migrations.OutOfOrderError]()(err)
	})
}

func lateRefused(ctx context.Context, db Database) error {
	f, err := begun(ctx, db)
	if err != nil {
		return err
	}
	late := f.with("20", enter("20")).with("40", enter("40")).set()
	for _, policy := range []migrations.OutOfOrder{"", migrations.OutOfOrderRefuse} {
		if err := refused(ctx, db, late, Options{OutOfOrder: policy}, name("20"), only(as[*migrations.OutOfOrderError]())); err != nil {
			return fmt.Errorf("policy %q: %w", policy, err)
		}
	}
	return nil
}

func lateSkipped(ctx context.Context, db Database) error {
	f, err := begun(ctx, db)
	if err != nil {
		return err
	}
	late, skip := f.with("20", enter("20")), Options{OutOfOrder: migrations.OutOfOrderSkip}
	if _, err := succeed(ctx, db, late.set(), skip, wanted{migrations.OutcomeCurrent, "30", "30", nil}); err != nil {
		return err
	}
	late = late.with("40", enter("40"))
	if _, err := succeed(ctx, db, late.set(), skip, wanted{migrations.OutcomeSucceeded, "30", "40", []migrations.Version{"40"}}); err != nil {
		return err
	}
	return holds(ctx, db, late.without("20").set().Digest(), first, "10", "30", "40")
}

func lateApplied(ctx context.Context, db Database) error {
	f, err := begun(ctx, db)
	if err != nil {
		return err
	}
	late := f.with("20", enter("20"))
	if _, err := succeed(ctx, db, late.set(), Options{OutOfOrder: migrations.OutOfOrderApply}, wanted{migrations.OutcomeSucceeded, "30", "30", []migrations.Version{"20"}}); err != nil {
		return err
	}
	if err := holds(ctx, db, late.set().Digest(), first, "10", "30", "20"); err != nil {
		return err
	}
	late = late.with("40", enter("40"))
	if _, err := succeed(ctx, db, late.set(), Options{}, wanted{migrations.OutcomeSucceeded, "30", "40", []migrations.Version{"40"}}); err != nil {
		return err
	}
	return holds(ctx, db, late.set().Digest(), first, "10", "30", "20", "40")
}

// only demands that the error tells of one deviation alone.
func only(is func(error) bool) func(error) bool {
	return func(err error) bool {
		kinds := 0
		for _, other := range []func(error) bool{as[*migrations.EditedError](), as[*migrations.MissingFileError](), as[*migrations.OutOfOrderError]()} {
			if other(err) {
				kinds++
			}
		}
		return kinds == 1 && is(err)
	}
}
