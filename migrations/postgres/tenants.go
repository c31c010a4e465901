package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// MigrateTenants brings the schema of each tenant up to the set, as Migrate does for a database: with the tenant's schema first in
// the search_path, and with a history and a lock of the tenant's own. A tenant that fails holds up no other, and the
// next run goes on with those that are not done. If all are, that is one connection and two queries, however many they are.
//
// The report says what holds for all tenants, and how it went with each.
func MigrateTenants(ctx context.Context, cfg Config, set migrations.Set, t Tenants) (migrations.Report, error) {
	f := &fanOut{started: time.Now(), id: newID()}
	err := f.migrate(ctx, cfg, set, t)
	return f.report(cfg, err), err
}

// fanOut is a run over tenants.
type fanOut struct {
	started time.Time
	id      string
	set     migrations.Set // up to the target
	tenants []string
	done    map[string]bool // had nothing to do, as one query for all told
	results []migrations.Report
}

func (f *fanOut) migrate(ctx context.Context, cfg Config, set migrations.Set, t Tenants) error {
	target, targetErr := set.Upto(cfg.Target)
	f.set = target
	cfg, err := cfg.withDefaults()
	if err := errors.Join(targetErr, err); err != nil {
		return err
	}
	if cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Deadline)
		defer cancel()
	}
	if err := f.discover(ctx, cfg, t); err != nil {
		return err
	}
	errs := make([]error, len(f.tenants))
	f.results = make([]migrations.Report, len(f.tenants))
	t.each(len(f.tenants), func(i int) { f.results[i], errs[i] = f.tenant(ctx, cfg, set, f.tenants[i]) })
	return failedAmong(f.tenants, errs)
}

// tenant migrates one of them.
func (f *fanOut) tenant(ctx context.Context, cfg Config, set migrations.Set, name string) (migrations.Report, error) {
	if f.done[name] {
		latest := f.set.Latest()
		return migrations.Report{Outcome: migrations.OutcomeCurrent, From: latest, To: latest, MinCompatible: f.set.MinCompatible()}, nil
	}
	return Migrate(ctx, cfg.of(name), set)
}

// discover finds out who the tenants are and which of them have nothing to do, with as much patience for a server that
// is just starting as any run has.
func (f *fanOut) discover(ctx context.Context, cfg Config, t Tenants) error {
	r := &runner{cfg: cfg, log: cfg.Logger}
	for try := 0; ; try++ {
		err := t.find(ctx, cfg, func(s *session, names []string) (err error) {
			f.tenants = names
			f.done, err = ledger{schema: cfg.LedgerSchema}.current(ctx, s, cfg.Database, f.set)
			return err
		})
		var e *Error
		if !errors.As(err, &e) || !worthConnectingAgain(e) || try >= cfg.Retries {
			return err
		}
		if err := r.backOff(ctx, try, e); err != nil {
			return err
		}
	}
}

// current returns the tenants that have exactly this set, with nothing half reverted, and whose schema is there.
func (l ledger) current(ctx context.Context, s *session, database string, set migrations.Set) (map[string]bool, error) {
	rows := fmt.Sprintf(`SELECT root.tenant FROM %[1]s root JOIN %[1]s d USING (tenant)
WHERE root.version = '' AND root.name = %[2]s AND root.checksum = %[3]s AND root.tenant <> '' AND pg_catalog.to_regnamespace(pg_catalog.quote_ident(root.tenant)) IS NOT NULL
AND d.version = %[4]s AND d.digest = %[5]s AND NOT EXISTS (SELECT FROM %[1]s n WHERE n.tenant = d.tenant AND n.previous = d.version) AND NOT EXISTS (SELECT %[6]s)`,
		l.table("migration"), literal(database), literal(ledgerFormat), literal(string(set.Latest())), literal(set.HistoryDigest()), l.revertingOf("d"))
	if len(set.Repeatables) > 0 {
		rows += fmt.Sprintf(" AND %d = (SELECT count(*) FROM %s r WHERE r.tenant = d.tenant AND %s)", len(set.Repeatables), l.table("repeatable"), repeatedIn(set))
	}
	answer, err := s.ask(ctx, l.ifThere(rows))
	if err != nil {
		return nil, err
	}
	current := make(map[string]bool, len(answer))
	for _, row := range answer {
		current[string(row[0])] = true
	}
	return current, nil
}

// report puts the tenants' reports together.
func (f *fanOut) report(cfg Config, err error) migrations.Report {
	rep := migrations.Report{
		Format: migrations.ReportFormat, Database: cfg.Database, Environment: cfg.Environment, Digest: cfg.digestOf(f.set),
		Target: f.set.Latest(), Run: f.id,
		Outcome: migrations.OutcomeCurrent, Started: f.started.UTC(), Finished: time.Now().UTC(),
	}
	all := &migrations.Tenants{Total: len(f.tenants)}
	for i, one := range f.results {
		all.Add(migrations.TenantResult{Tenant: f.tenants[i], Outcome: one.Outcome, From: one.From, To: one.To, Count: one.Count, Failure: one.Failure})
		rep.Count += one.Count
		rep.LockWait = max(rep.LockWait, one.LockWait)
		if i == 0 || one.From.Compare(rep.From) < 0 {
			rep.From = one.From
		}
		if i == 0 || one.To.Compare(rep.To) < 0 {
			rep.To = one.To
		}
		if one.MinCompatible.Compare(rep.MinCompatible) > 0 {
			rep.MinCompatible = one.MinCompatible
		}
	}
	rep.Tenants = all
	switch {
	case err != nil:
		rep.Outcome, rep.Failure = migrations.OutcomeFailed, FailureOf(err)
	case all.Succeeded > 0:
		rep.Outcome = migrations.OutcomeSucceeded
	case all.Ahead > 0:
		rep.Outcome = migrations.OutcomeAhead
	}
	return rep
}
