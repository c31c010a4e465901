// Package migrationstest tests programs that apply migrations.Set to a PostgreSQL database: whoever runs one, whatever goes
// wrong, each migration has to be applied exactly once, in order, whole or not at all, a repeatable one again when it has changed,
// and the report has to say so.
//
//	func TestConformance(t *testing.T) {
//		migrationstest.Run(t, func(t *testing.T) migrationstest.Database { return open(t) })
//	}
//
// What a killed program or server leaves is beyond this package: it sees a runner from outside only.
package migrationstest

import (
	"context"
	"testing"

	"github.com/schemawave/schemawave/migrations"
)

// Database is what is put to the test: a PostgreSQL database with the program that migrates it. Any method may be called
// while others are under way.
type Database interface {
	// Migrate brings the database up to the set, as one run of the program does, and returns what the run reports. Its error
	// is nil if and only if the database then holds all that was asked for.
	Migrate(ctx context.Context, set migrations.Set, opts Options) (migrations.Report, error)

	// History returns what the database remembers as applied, in the order of application, and the digest it shows for
	// all of it; then the repeatable migrations, which have no version, as they were run last, in the order of their names.
	// Before the first run there is nothing.
	History(ctx context.Context) (applied []migrations.Applied, digest string, err error)

	// Query executes statements in a session that is not the runner's, with the schema public in its search_path, and
	// returns the first column of the last one's rows.
	Query(ctx context.Context, sql string) ([]string, error)
}

// Options is how a run is to differ from the usual.
type Options struct {
	Target     string                // a version; all if empty
	OutOfOrder migrations.OutOfOrder // refuse if empty
}

// Run holds a runner to every rule, each in a sub-test of its own. open returns an empty database, another one each time,
// and leaves closing it to t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Database) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			if err := r.check(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// rule is one thing that has to hold. check returns how an empty database's runner breaks it.
type rule struct {
	name  string
	check func(ctx context.Context, db Database) error
}

func rules() []rule {
	return []rule{
		{"a fresh run applies everything in order", freshRun},
		{"a second run changes nothing", secondRun},
		{"a target is where a run stops", target},
		{"an unknown target is refused", unknownTarget},
		{"min-compatible travels to every report", minCompatible},
		{"a failing migration leaves nothing behind", failure},
		{"a failure names its place", failurePlace},
		{"nothing confidential is told", confidential},
		{"a long report fits", longReport},
		{"outside a transaction a file goes on where it failed", resumed},
		{"an edited file is refused", edited},
		{"a missing file is refused", missing},
		{"every deviation is named at once", deviations},
		{"a late file is refused", lateRefused},
		{"a late file is skipped on demand", lateSkipped},
		{"a late file is applied on demand", lateApplied},
		{"a ledger ahead of the files is no error", ahead},
		{"repeatable files run after the others", repeatables},
		{"repeatable files run again when they have changed", repeatedOnChange},
		{"a failing repeatable file leaves nothing behind", repeatableFailure},
		{"short of the newest version nothing is repeated", notRepeated},
		{"many runners apply each migration once", manyRunners},
		{"an interrupted run is gone on with", interrupted},
		{"a run that is over before it begins changes nothing", interruptedBefore},
	}
}
