package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// Question is what a guard asks a ledger: one of Absent and ToolRun.
type Question struct {
	Absent  func(applied []migrations.Applied) (string, error) // what is missing, in words; empty if nothing is
	ToolRun string                                             // the digest for which a team's own tool must have been run, with success
}

// remedyUnguarded is what to do where a migration did not run. In a full sync the hooks come first.
const remedyUnguarded = "sync the whole Application, with its hooks: a sync of some resources only, by hand or by self-heal, and a rollback leave them out"

// Guard asks the ledger whether a migration is there, before what needs it is let go on. It takes no lock and writes nothing, and
// is one connection and one query. A database that is ahead holds it as well: Migrate has nothing to do there either.
//
// That it is not there is an error with ExitRejected, also while a run is under way: whoever has begun that one lets its own
// sync go on. The report is usable in any case, beside an error too.
func Guard(ctx context.Context, cfg Config, q Question) (migrations.Report, error) {
	g := newRunner()
	g.digest = cfg.Digest
	err := g.guard(ctx, cfg, q)
	return g.report(cfg, err), err
}

// GuardTenants is Guard for each tenant, on a connection of its own after the one that finds out who they are. All of them must
// hold the migration.
func GuardTenants(ctx context.Context, cfg Config, q Question, t Tenants) (migrations.Report, error) {
	f := &fanOut{started: time.Now(), id: newID()}
	went, err := EachTenant(ctx, cfg, t, func(ctx context.Context, cfg Config) (migrations.Report, error) { return Guard(ctx, cfg, q) })
	for _, one := range went {
		f.tenants, f.results = append(f.tenants, one.Tenant), append(f.results, one.Result)
	}
	return f.report(cfg, err), err
}

// guard asks, with as much patience for a server that is just starting as any run has.
func (r *runner) guard(ctx context.Context, cfg Config, q Question) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	r.cfg, r.log, r.ledger = cfg, cfg.Logger.With("database", cfg.Database), ledger{cfg.LedgerSchema, cfg.Tenant}
	if cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Deadline)
		defer cancel()
	}
	for try := 0; ; try++ {
		err := r.ask(ctx, q)
		if errors.As(err, new(*lostError)) {
			err = lostFailure(err)
		}
		var refused *Error
		if !errors.As(err, &refused) || !worthConnectingAgain(refused) || try >= cfg.Retries {
			return err
		}
		if err := r.backOff(ctx, try, refused); err != nil {
			return err
		}
	}
}

// ask asks once.
func (r *runner) ask(ctx context.Context, q Question) error {
	s, err := connect(ctx, r.cfg)
	if err != nil {
		return err
	}
	defer s.close(context.WithoutCancel(ctx)) //nolint:errcheck // only read from
	messages := []string{r.ledger.readSQL()}
	if q.ToolRun != "" {
		messages = append(messages, r.ledger.ranSQL(q.ToolRun))
	}
	replies, err := s.askAll(ctx, messages...)
	if err != nil {
		return err
	}
	st, err := r.ledger.parse(replies[0].rows)
	if err == nil {
		err = st.check(r.cfg.Database, r.ledger)
	}
	if err == nil {
		err = st.nothingHalfReverted(r.ledger)
	}
	if err != nil {
		return err
	}
	if q.ToolRun != "" {
		return r.answer(toolAbsent(len(replies[1].rows) > 0), nil)
	}
	r.found(st)
	return r.answer(q.Absent(st.applied()))
}

// ranSQL has a row if a run for this digest has succeeded.
func (l ledger) ranSQL(digest string) string {
	return l.ifThere(fmt.Sprintf("SELECT FROM %s WHERE %s LIMIT 1", l.table("run"),
		l.mine(" AND digest = %s AND outcome IN (%s, %s)", literal(digest), literal(string(migrations.OutcomeSucceeded)), literal(string(migrations.OutcomeCurrent)))))
}

func toolAbsent(ran bool) string {
	if ran {
		return ""
	}
	return "no run of its tool has succeeded for it"
}

// found keeps what the report tells of the ledger.
func (r *runner) found(st state) {
	var newest migrations.Version
	for _, e := range st.entries {
		if e.Version.Compare(newest) > 0 {
			newest = e.Version
		}
		if e.MinCompatible.Compare(r.minCompatible) > 0 {
			r.minCompatible = e.MinCompatible
		}
	}
	r.from, r.to = &newest, newest
}

// answer makes an error of what is missing.
func (r *runner) answer(absent string, err error) error {
	if err != nil || absent == "" {
		return err
	}
	return inconsistent(fmt.Sprintf("the migration of %s did not run: %s", r.cfg.Database, absent), remedyUnguarded)
}
