package postgres

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// farewell bounds what is done after the run's own context has ended: recording the outcome, unlocking, closing.
const farewell = 5 * time.Second

// Migrate brings the database up to the set, or to cfg.Target of it, and reports. The report is usable in any case, beside an
// error too. The error's exit code is ExitCode(err).
//
// Any number of Migrate may run at once against the same database; one works while the others wait, and then find
// everything done. Those of different tenants do not wait for each other; one of no tenant has the database to itself. When ctx ends, the statement under way is cancelled on the server, and the lock is released.
func Migrate(ctx context.Context, cfg Config, set migrations.Set) (migrations.Report, error) {
	r := newRunner()
	err := r.migrate(ctx, cfg, set)
	return r.report(cfg, err), err
}

func newRunner() *runner {
	return &runner{started: time.Now(), id: newID(), took: map[string]time.Duration{}, failures: map[string]int{}, rebuilt: map[string]bool{}}
}

// runner is one run.
type runner struct {
	cfg       Config
	set       migrations.Set        // up to the target
	digest    string                // of set
	unchecked *migrations.Unchecked // the whole of set, while its statements are unchecked; else nil
	ledger    ledger
	lock      lock
	early     *early // for the first connection; nil if there is none
	log       *slog.Logger
	id        string
	started   time.Time
	waited    time.Duration // for the lock

	serverEncoding string
	from           *migrations.Version // newest version before the run; nil until the ledger was read
	to             migrations.Version
	tip            migrations.Version   // the version applied last
	known          []migrations.Applied // everything that is applied
	minCompatible  migrations.Version
	ahead          bool
	entered        bool                     // in the list of runs, where its end is to be recorded whatever happens to connections
	applied        []string                 // IDs
	took           map[string]time.Duration // by ID
	failures       map[string]int           // by ID
	rebuilt        map[string]bool          // statements for partitions' indexes that were carried out; should the server forget one in a crash, no harm is done
	unfinished     []string                 // IDs of those that an earlier run has left half applied
}

func (r *runner) migrate(ctx context.Context, cfg Config, set migrations.Set) error {
	target, targetErr := set.Upto(cfg.Target)
	r.set, r.digest = target, cfg.digestOf(target)
	cfg, err := cfg.withDefaults()
	if err := errors.Join(targetErr, err); err != nil {
		return err
	}
	r.cfg, r.log, r.ledger = cfg, cfg.Logger.With("database", cfg.Database), ledger{cfg.LedgerSchema, cfg.Tenant}
	if cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Deadline)
		defer cancel()
	}
	for try := 0; ; try++ {
		progress := len(r.applied)
		err := r.connected(ctx)
		if len(r.applied) > progress {
			try = 0
		}
		var lost *lostError
		var refused *Error
		switch {
		case errors.As(err, &lost) && !errors.Is(err, errCopyIn):
			refused = lostFailure(err)
			err = refused
		case errors.As(err, &refused) && refused.Failure.File == "" && worthConnectingAgain(refused):
		default:
			return err
		}
		if try >= cfg.Retries {
			return err
		}
		if err := r.backOff(ctx, try, refused); err != nil {
			return err
		}
	}
}

// lostFailure is what a broken connection means once there are no retries left.
func lostFailure(err error) *Error {
	return fail(migrations.ExitUnreachable, err.Error(), "check the server and the network; what was committed is recorded, and the next run goes on from there")
}

// connected is the run on one connection, from its beginning to its end.
func (r *runner) connected(ctx context.Context) (err error) {
	s, err := r.connect(ctx)
	if err != nil {
		return err
	}
	locked := false
	hold := kept{ctx, func() {}}
	defer func() {
		hold.stop()
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		if locked && r.entered {
			err = r.conclude(bye, s, err)
		} else if locked {
			r.release(bye, s)
		}
		s.close(bye) //nolint:errcheck // nothing depends on it any more: all is committed, and the lock goes with the session
	}()
	set := &r.set
	if r.entered { // before a connection broke: only all rows tell what this run has applied
		set = nil
	}
	st, same, err := r.look(ctx, s, set)
	if err != nil {
		return err
	}
	if same {
		return r.current(st)
	}
	if err := r.check(r.cfg.Target); err != nil {
		return err
	}
	if plan, err := r.plan(st); !r.entered && (err != nil || plan.Current() && st.reverting == "") {
		return err
	}
	if st, err = r.open(ctx, s, st); err != nil {
		return err
	}
	locked = true
	if err := st.nothingHalfReverted(r.ledger); err != nil {
		return err
	}
	plan, err := r.plan(st)
	if err != nil || plan.Current() && !r.entered {
		return err
	}
	hold = r.lock.keep(ctx, r.cfg)
	r.entered = true // or not, if this connection breaks now; ending it does no harm then
	rows, err := s.ask(hold, r.ledger.beginRunSQL(r.id, r.digest, r.cfg)+";"+r.ledger.unfinishedSQL())
	if err != nil {
		return err
	}
	r.unfinished = column(rows)
	return r.execute(hold, s, append(plan.Pending, plan.Repeat...))
}

// look reads the ledger, as readUnless does if there is a set, and finds out which lock this connection needs.
func (r *runner) look(ctx context.Context, s *session, set *migrations.Set) (st state, same bool, err error) {
	r.serverEncoding = s.pg.ParameterStatus("server_encoding")
	if set == nil || len(set.Migrations) == 0 {
		st, err = r.ledger.read(ctx, s)
	} else {
		st, same, err = r.ledger.readUnless(ctx, s, r.cfg.Database, *set)
	}
	if err != nil {
		return st, same, err
	}
	r.lock = &advisory{ledger: r.ledger}
	if st.pid != s.pg.PID() { // somebody in between speaks for the server
		r.lock = r.ledger.lease(r.cfg, r.id)
		err = s.throughPooler()
	}
	return st, same, err
}

// current notes that the history is exactly the set.
func (r *runner) current(st state) error {
	latest := r.set.Latest()
	r.from, r.to, r.minCompatible = &latest, latest, r.set.MinCompatible()
	return st.check(r.cfg.Database, r.ledger)
}

// plan compares the set with the ledger and keeps what the report needs.
func (r *runner) plan(st state) (migrations.Plan, error) {
	if err := st.check(r.cfg.Database, r.ledger); err != nil {
		return migrations.Plan{}, err
	}
	plan, err := r.set.Plan(st.applied(), migrations.Policy{OutOfOrder: r.cfg.OutOfOrder})
	if err == nil {
		err = st.nothingPassedOver(r.ledger, r.set, plan, st.applied())
	}
	if err != nil {
		return plan, err
	}
	if r.from == nil {
		r.from = &plan.From
	}
	r.to, r.tip, r.minCompatible, r.ahead = plan.From, st.tip, plan.MinCompatible, len(plan.Ahead) > 0
	r.known = st.applied()
	r.recover(st)
	return plan, nil
}

// open makes the ledger if it is not there, and takes the lock.
func (r *runner) open(ctx context.Context, s *session, st state) (state, error) {
	if st.exists {
		return r.acquire(ctx, s)
	}
	st, err := r.acquire(ctx, s, r.ledger.createSQL(r.cfg.Database))
	var e *Error
	if errors.As(err, &e) && e.Failure.SQLState == "42501" {
		e.Failure.Message = "create the ledger in schema " + r.cfg.LedgerSchema + ": " + e.Failure.Message
		e.Failure.Hint = fmt.Sprintf("grant the role CREATE on the database, or make the schema for it: CREATE SCHEMA %[1]s AUTHORIZATION role; "+
			"where another role has made the tables, grant USAGE ON SCHEMA %[1]s and SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN it", identifier(r.cfg.LedgerSchema))
	}
	return st, err
}

// execute runs the pending migrations: consecutive transactional ones together, long ones by themselves, the others step by step.
func (r *runner) execute(ctx context.Context, s *session, pending []migrations.Migration) error {
	if err := s.takes(pending); err != nil {
		return err
	}
	for len(pending) > 0 {
		n := 0
		for n < len(pending) && !r.stepwise(pending[n]) && !isLong(pending[n]) {
			n++
		}
		var applied int
		var err error
		switch {
		case n > 0:
			applied, err = r.applyTransactional(ctx, s, pending[:n])
		case r.stepwise(pending[0]):
			if err := r.applyStepwise(ctx, s, pending[0]); err != nil {
				return err
			}
			applied = 1
		default:
			applied, err = r.applyLong(ctx, s, pending[0])
		}
		pending = pending[applied:]
		switch {
		case err == nil:
			continue
		case len(pending) == 0: // the connection broke after the last reply
			return err
		}
		if err := r.again(ctx, s, &pending[0], err); err != nil {
			return err
		}
	}
	return nil
}

// stepwise reports whether a migration is to run statement by statement: because it must, or because its file did when an earlier
// run came half way, whatever it says now. A repeatable one begins anew instead.
func (r *runner) stepwise(m migrations.Migration) bool {
	return m.NoTransaction || m.Version != "" && slices.Contains(r.unfinished, m.ID())
}

// again prepares the session for another attempt at a migration, or returns the error if there is to be none.
// A file of one statement that the server does not take in a transaction is marked: it is tried without.
func (r *runner) again(ctx context.Context, s *session, m *migrations.Migration, err error) error {
	var e *Error
	if !errors.As(err, &e) || ctx.Err() != nil {
		return err
	}
	if e.Failure.SQLState == insideTransaction && isSingle(m.Up) {
		m.NoTransaction = true
		_, err := s.askAll(ctx, "ROLLBACK", s.reset)
		return err
	}
	if !e.retryable {
		return err
	}
	id := m.ID()
	try := r.failures[id]
	if r.failures[id]++; try >= r.cfg.Retries {
		return err
	}
	if _, cleanErr := s.askAll(ctx, "ROLLBACK", s.reset); cleanErr != nil {
		return cleanErr
	}
	return r.backOff(ctx, try, e)
}

// backOff waits before another attempt: twice as long each time, with jitter, so that contenders do not meet again.
func (r *runner) backOff(ctx context.Context, try int, why *Error) error {
	d := r.cfg.MaxBackoff
	if try < 30 {
		d = min(d, r.cfg.MinBackoff<<try)
	}
	d = d/2 + mathrand.N(d/2+1)
	r.log.Warn("trying again", "attempt", try+2, "after", d, "because", why.Error())
	if pause(ctx, d) != nil {
		e := *why
		e.cause = ctx.Err()
		return &e
	}
	return nil
}

// conclude records how the run ended and releases the lock. Where the record fails, the run has not succeeded: its last
// commits may not be on disk yet.
func (r *runner) conclude(ctx context.Context, s *session, runErr error) error {
	if errors.As(runErr, new(*lostError)) {
		return runErr
	}
	messages := []string{s.reset, "", r.lock.dropSQL()}
	outcome := migrations.OutcomeSucceeded
	var failure []byte
	if runErr != nil {
		outcome = migrations.OutcomeFailed
		failure, _ = json.Marshal(FailureOf(runErr)) // a struct of strings and numbers always encodes
		messages = append([]string{"ROLLBACK"}, messages...)
	}
	messages[len(messages)-2] = r.ledger.endRunSQL(r.id, outcome, failure, r.took)
	_, err := s.askAll(ctx, messages...)
	if runErr != nil {
		return runErr
	}
	return err
}

// release gives the lock back when there was nothing to do after all.
func (r *runner) release(ctx context.Context, s *session) {
	s.ask(ctx, r.lock.dropSQL()) //nolint:errcheck // it ends with the session in a moment anyway
}

// newID returns a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
