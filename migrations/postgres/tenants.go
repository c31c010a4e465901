package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// DefaultParallel is how many tenants are migrated at once, unless it is said.
const DefaultParallel = 4

// Tenants says to whose schemas a set is applied. Each tenant is a schema of the same database, named like it.
type Tenants struct {
	Names    []string // of tenants, besides those that Query finds
	Query    string   // SQL whose first column names tenants; it runs in a read-only transaction. May be empty
	Parallel int      // how many are migrated at once, each on a connection of its own; DefaultParallel if 0
}

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
	queue := make(chan int)
	var workers sync.WaitGroup
	for range min(max(1, fallback(t.Parallel, DefaultParallel)), len(f.tenants)) {
		workers.Go(func() {
			for i := range queue {
				f.results[i], errs[i] = f.tenant(ctx, cfg, set, f.tenants[i])
			}
		})
	}
	for i := range f.tenants {
		queue <- i // a run that is over in no time once ctx has ended
	}
	close(queue)
	workers.Wait()
	return f.verdict(errs)
}

// tenant migrates one of them.
func (f *fanOut) tenant(ctx context.Context, cfg Config, set migrations.Set, name string) (migrations.Report, error) {
	if f.done[name] {
		latest := f.set.Latest()
		return migrations.Report{Outcome: migrations.OutcomeCurrent, From: latest, To: latest, MinCompatible: f.set.MinCompatible()}, nil
	}
	cfg.tenant = name
	cfg.Logger = cfg.Logger.With("tenant", name)
	return Migrate(ctx, cfg, set)
}

// discover finds out who the tenants are and which of them have nothing to do, with as much patience for a server that
// is just starting as any run has.
func (f *fanOut) discover(ctx context.Context, cfg Config, t Tenants) error {
	r := &runner{cfg: cfg, log: cfg.Logger}
	for try := 0; ; try++ {
		err := f.ask(ctx, cfg, t)
		var e *Error
		if errors.As(err, new(*lostError)) {
			e = lostFailure(err)
			err = e
		}
		if !errors.As(err, &e) || !worthConnectingAgain(e) || try >= cfg.Retries {
			return err
		}
		if err := r.backOff(ctx, try, e); err != nil {
			return err
		}
	}
}

func (f *fanOut) ask(ctx context.Context, cfg Config, t Tenants) error {
	s, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.close(context.WithoutCancel(ctx)) //nolint:errcheck // only read from
	names := slices.Clone(t.Names)
	if t.Query != "" {
		found, err := queryTenants(ctx, s, t.Query)
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	f.tenants = slices.Compact(names)
	for _, name := range f.tenants {
		if name == "" {
			return fail(migrations.ExitRejected, "a tenant has an empty name", "correct the list, or the query that finds them")
		}
		if len(name) > maxIdentifier { // the server would cut it, and two of them might share a schema
			return fail(migrations.ExitRejected, fmt.Sprintf("the tenant %s has a name of %d bytes, longer than a schema's can be", name, len(name)),
				fmt.Sprintf("give it one of at most %d bytes", maxIdentifier))
		}
	}
	f.done, err = ledger{schema: cfg.LedgerSchema}.current(ctx, s, cfg.Database, f.set)
	return err
}

// queryTenants runs the query that finds tenants.
func queryTenants(ctx context.Context, s *session, query string) ([]string, error) {
	query = strings.TrimRight(strings.TrimSpace(query), ";")
	replies, err := s.askAll(ctx, "BEGIN READ ONLY", query, "ROLLBACK")
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Failure.SQLState != "" {
			e.Failure.Message = "the query for tenants: " + e.Failure.Message
		}
		return nil, err
	}
	var names []string
	for _, row := range replies[1].rows {
		if len(row) == 0 {
			return nil, fail(migrations.ExitRejected, "the query for tenants has no column", "select their names")
		}
		names = append(names, string(row[0]))
	}
	return names, nil
}

// current returns the tenants that have exactly this set, and whose schema is there.
func (l ledger) current(ctx context.Context, s *session, database string, set migrations.Set) (map[string]bool, error) {
	rows := fmt.Sprintf(`SELECT root.tenant FROM %[1]s root JOIN %[1]s d USING (tenant)
WHERE root.version = '' AND root.name = %[2]s AND root.checksum = %[3]s AND root.tenant <> '' AND pg_catalog.to_regnamespace(pg_catalog.quote_ident(root.tenant)) IS NOT NULL
AND d.version = %[4]s AND d.digest = %[5]s AND NOT EXISTS (SELECT FROM %[1]s n WHERE n.tenant = d.tenant AND n.previous = d.version)`,
		l.table("migration"), literal(database), literal(ledgerFormat), literal(string(set.Latest())), literal(set.HistoryDigest()))
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

// verdict is the error of a run in which tenants failed. Its code is transient if any of theirs is: running again then gets
// further.
func (f *fanOut) verdict(errs []error) error {
	var worst *migrations.Failure
	var first string
	var cause error
	failed := 0
	for i, err := range errs {
		if err == nil {
			continue
		}
		failed++
		why := FailureOf(err)
		if worst == nil || worst.Permanent && !why.Permanent {
			worst, first, cause = why, f.tenants[i], err
		}
	}
	if worst == nil {
		return nil
	}
	e := &Error{Failure: *worst}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(cause, ended) {
			e.cause = ended
		}
	}
	e.Failure.Message = fmt.Sprintf("%d of %d tenants failed, among them %s: %s", failed, len(errs), first, worst.Message)
	return e
}

// report puts the tenants' reports together.
func (f *fanOut) report(cfg Config, err error) migrations.Report {
	rep := migrations.Report{
		Format: migrations.ReportFormat, Database: cfg.Database, Environment: cfg.Environment, Digest: f.set.Digest(), Run: f.id,
		Outcome: migrations.OutcomeCurrent, Started: f.started.UTC(), Finished: time.Now().UTC(),
	}
	all := &migrations.Tenants{Total: len(f.tenants)}
	for i, one := range f.results {
		all.Add(migrations.TenantResult{Tenant: f.tenants[i], Outcome: one.Outcome, From: one.From, To: one.To, Count: one.Count, Failure: one.Failure})
		rep.Count += one.Count
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
