package migrationstest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/schemawave/schemawave/migrations"
)

// wanted is what a successful run has to report.
type wanted struct {
	outcome  migrations.Outcome
	from, to migrations.Version
	applied  []migrations.Version
}

// succeed runs, and compares the report with what is wanted. repeated names the repeatable migrations that have to run.
func succeed(ctx context.Context, db Database, set migrations.Set, opts Options, want wanted, repeated ...string) (migrations.Report, error) {
	report, err := db.Migrate(ctx, set, opts)
	if err != nil {
		return report, fmt.Errorf("the run failed: %w", err)
	}
	if err := wellFormed(report, set, opts, nil); err != nil {
		return report, err
	}
	got := wanted{outcome: report.Outcome, from: report.From, to: report.To, applied: report.Applied}
	if !reflect.DeepEqual(got, want) || !slices.Equal(report.Repeated, repeated) || report.Count != len(want.applied)+len(repeated) {
		return report, fmt.Errorf("report says %+v, repeated %v, count %d; want %+v, %v", got, report.Repeated, report.Count, want, repeated)
	}
	return report, nil
}

// fail runs, and demands an error and a report of it.
func fail(ctx context.Context, db Database, set migrations.Set, opts Options) (migrations.Report, error, error) {
	report, err := db.Migrate(ctx, set, opts)
	if err == nil {
		return report, nil, fmt.Errorf("the run succeeded: %+v", report)
	}
	return report, err, wellFormed(report, set, opts, err)
}

// wellFormed holds a report to what is true of all. runErr is the error that came with it.
func wellFormed(r migrations.Report, set migrations.Set, opts Options, runErr error) error {
	upto, err := set.Upto(opts.Target)
	switch f := r.Failure; {
	case r.Format != migrations.ReportFormat || r.Database == "" || r.Run == "":
		return fmt.Errorf("report without format, database or run: %+v", r)
	case r.Started.IsZero() || r.Finished.Before(r.Started):
		return fmt.Errorf("report from %v to %v", r.Started, r.Finished)
	case err == nil && r.Digest != upto.Digest():
		return fmt.Errorf("report has the digest %s, the set %s", r.Digest, upto.Digest())
	case (r.Outcome == migrations.OutcomeFailed) != (runErr != nil) || (f != nil) != (runErr != nil):
		return fmt.Errorf("report of the error %v has the outcome %s and the failure %+v", runErr, r.Outcome, f)
	case f != nil && (f.Code != migrations.CodeOf(runErr) || f.Permanent != f.Code.Permanent() || f.Message == "" || f.Hint == "" && f.SQLState == ""):
		return fmt.Errorf("report of the error %v, code %d, has the failure %+v", runErr, migrations.CodeOf(runErr), f)
	}
	encoded, err := r.Encode()
	if err != nil {
		return err
	}
	decoded, err := migrations.DecodeReport(encoded)
	if err != nil || decoded.Run != r.Run || decoded.Outcome != r.Outcome || len(encoded) > migrations.MaxReportBytes {
		return fmt.Errorf("report of %d bytes is read back as %+v, %v", len(encoded), decoded, err)
	}
	return nil
}

// refused runs, and demands a permanent error of the kind that the database is left unchanged by. is tells the kind, file
// is what the report has to name.
func refused(ctx context.Context, db Database, set migrations.Set, opts Options, file string, is func(error) bool) error {
	before, err := look(ctx, db)
	if err != nil {
		return err
	}
	report, runErr, err := fail(ctx, db, set, opts)
	switch {
	case err != nil:
		return err
	case !is(runErr):
		return fmt.Errorf("the error is not of the right type: %T: %w", runErr, runErr)
	case !report.Failure.Permanent || report.Failure.File != file || report.Count != 0:
		return fmt.Errorf("report of %+v, %d applied; want a permanent failure of file %q", *report.Failure, report.Count, file)
	}
	return unchanged(ctx, db, before)
}

// as makes a test for errors of type E.
func as[E error]() func(error) bool {
	return func(err error) bool {
		var e E
		return errors.As(err, &e)
	}
}

// sight is what a database holds.
type sight struct {
	tables  []string             // in the schema public
	steps   []string             // what the migrations have entered, in the order of entry
	applied []migrations.Applied // in the ledger
	digest  string
}

func look(ctx context.Context, db Database) (s sight, err error) {
	if s.tables, err = db.Query(ctx, tablesSQL); err != nil {
		return s, fmt.Errorf("list the tables: %w", err)
	}
	if slices.Contains(s.tables, "step") {
		if s.steps, err = db.Query(ctx, stepsSQL); err != nil {
			return s, fmt.Errorf("list the steps: %w", err)
		}
	}
	if s.applied, s.digest, err = db.History(ctx); err != nil {
		return s, fmt.Errorf("read the ledger: %w", err)
	}
	return s, nil
}

func unchanged(ctx context.Context, db Database, before sight) error {
	after, err := look(ctx, db)
	if err == nil && !reflect.DeepEqual(before, after) {
		err = fmt.Errorf("the database has changed from %+v to %+v", before, after)
	}
	return err
}

// holds compares the database with what the migrations of these versions make of it, applied in this order. digest is that
// of the set's history.
func holds(ctx context.Context, db Database, digest string, versions ...migrations.Version) error {
	ledger, entered := made(versions)
	return shows(ctx, db, digest, entered, ledger)
}

// made is what the ledger and the steps are once these versions are applied in this order.
func made(versions []migrations.Version) (ledger, entered []string) {
	for _, v := range versions {
		ledger = append(ledger, string(v))
		if v != first {
			entered = append(entered, string(v))
		}
	}
	return ledger, entered
}

// shows compares the database with the steps that have to be in it, and the ledger with the IDs of the migrations.
func shows(ctx context.Context, db Database, digest string, entered, ledger []string) error {
	s, err := look(ctx, db)
	if err != nil {
		return err
	}
	var recorded []string
	for _, a := range s.applied {
		recorded = append(recorded, migrations.Migration{Version: a.Version, Name: a.Name}.ID())
	}
	switch {
	case !slices.Equal(s.steps, entered):
		return fmt.Errorf("the migrations have entered %v, want %v", s.steps, entered)
	case !slices.Equal(recorded, ledger):
		return fmt.Errorf("the ledger has %v, want %v", recorded, ledger)
	case s.digest != digest:
		return fmt.Errorf("the ledger shows the digest %q, want %q", s.digest, digest)
	}
	return nil
}
