package postgres

import (
	"context"

	"github.com/schemawave/schemawave/migrations"
)

// Baseline records the migrations of the set up to version as applied, in one transaction and without running any: the
// database is there already and looks as if they had been. "latest" means all of them. It returns the versions.
//
// A ledger that has another history is refused, and so is a version that is not in the set; one that has this very history
// is left as it is, so that it may be said again. Repeatable migrations are left to the next run.
func Baseline(ctx context.Context, cfg Config, set migrations.Set, version string) ([]migrations.Version, error) {
	set, err := set.Upto(version)
	if err != nil {
		return nil, err
	}
	if len(set.Migrations) == 0 {
		return nil, misconfigured("there is no versioned migration to begin the history with", "load a directory that has one")
	}
	list := make([]adopted, len(set.Migrations))
	versions := make([]migrations.Version, len(set.Migrations))
	for i, m := range set.Migrations {
		list[i], versions[i] = adopted{Migration: m}, m.Version
	}
	err = operate(ctx, cfg, func(_ context.Context, r *runner, s *session, st state) (func(context.Context) error, error) {
		return r.adopt(s, st, list, nil)
	})
	if err != nil {
		return nil, err
	}
	return versions, nil
}
