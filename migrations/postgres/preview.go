package postgres

import (
	"context"

	"github.com/schemawave/schemawave/migrations"
)

// Preview is what a run would do to the database as it is now.
type Preview struct {
	migrations.Plan
	Unfinished []string // IDs of migrations that are half applied; they go on where they stopped
}

// PreviewMigrate compares the set, or cfg.Target of it, with the ledger, as Migrate does, but neither writes nor locks
// anything. Its errors are those that Migrate would end with before it runs anything.
func PreviewMigrate(ctx context.Context, cfg Config, set migrations.Set) (Preview, error) {
	set, err := set.Upto(cfg.Target)
	if err != nil {
		return Preview{}, err
	}
	var out Preview
	err = glance(ctx, cfg, func(l ledger, s *session, st state) (err error) {
		if err := st.nothingHalfReverted(l); err != nil {
			return err
		}
		if out.Plan, err = set.Plan(st.applied(), migrations.Policy{OutOfOrder: cfg.OutOfOrder}); err != nil || !st.exists {
			return err
		}
		if err := st.nothingPassedOver(l, set, out.Plan, st.applied()); err != nil {
			return err
		}
		out.Unfinished, err = l.unfinished(ctx, s)
		return err
	})
	if err != nil {
		return Preview{}, err
	}
	return out, nil
}
