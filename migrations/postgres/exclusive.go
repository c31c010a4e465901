package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

const (
	watchEvery   = time.Second
	watchTimeout = 10 * time.Second // for the server to answer; then the lock counts as lost
)

// Command is a team's own tool for migrations.
type Command struct {
	Name    string      // for those who wait and for messages; without arguments, which may hold secrets
	Digest  string      // of what was rendered, for the report and the ledger; may be empty
	History ToolHistory // where the tool keeps its own

	// Run runs the tool to its end. When ctx ends, the lock may be lost in a moment: it stops the tool, and then returns an error
	// whatever the tool made of that. The settings are for the tool's sessions; nil if a pooler is in between, which takes none.
	// It returns the exit status, negative if there is none. An *Error with an SQLSTATE, which the tool's output told, is classified
	// by that.
	Run func(ctx context.Context, settings map[string]string) (status int, err error)
}

// Exclusively runs a tool under the ledger's lock, so that any number may be started at once, together with Migrate, and one
// works while the others wait. A tenant's lock is another one: MigrateTenants does not wait. The tool itself connects as it is
// configured to, and decides what there is to do: it is always run.
//
// The report's versions are read from the tool's own history, before and after. That nothing has changed is OutcomeCurrent, and
// takes the same history and the same definitions in the database. The report is usable in any case, beside an error too.
//
// A tool that ends with success is not believed if its history is not there afterwards, or says that a migration is half done.
func Exclusively(ctx context.Context, cfg Config, command Command) (migrations.Report, error) {
	x := newExclusive(command)
	err := x.run(ctx, cfg)
	return x.tell(cfg, err), err
}

// NotRun is the report of a tool that nothing could be begun with.
func NotRun(cfg Config, command Command, err error) migrations.Report {
	return newExclusive(command).tell(cfg, err)
}

func newExclusive(command Command) *exclusive {
	x := &exclusive{runner: newRunner(), command: command, status: -1}
	x.digest = command.Digest
	return x
}

// exclusive is one run of a tool.
type exclusive struct {
	*runner
	command       Command
	before, after sight
	started       bool // the tool
	status        int
}

// sight is what is to be seen of the schema at one moment.
type sight struct {
	toolRecord
	fingerprint string // empty if it could not be taken
}

func (x *exclusive) run(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err := errors.Join(err, x.command.History.check()); err != nil {
		return err
	}
	x.cfg, x.log, x.ledger = cfg, cfg.Logger.With("database", cfg.Database), ledger{cfg.LedgerSchema, cfg.Tenant}
	if cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Deadline)
		defer cancel()
	}
	s, err := x.enter(ctx)
	if err != nil {
		return err
	}
	hold := x.lock.keep(ctx, cfg)
	s, err = x.work(hold, s)
	hold.stop()
	if errors.As(err, new(*lostError)) {
		err = lostFailure(err)
	}
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if s == nil {
		return err
	}
	defer s.close(bye) //nolint:errcheck // all is recorded, and the lock goes with the session
	return x.leave(bye, s, err)
}

// enter connects and takes the lock, trying again while the server cannot be reached.
func (x *exclusive) enter(ctx context.Context) (*session, error) {
	for try := 0; ; try++ {
		s, err := connect(ctx, x.cfg)
		if err == nil {
			if err = x.takeLock(ctx, s); err == nil {
				return s, nil
			}
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			s.close(bye) //nolint:errcheck // nothing was done yet
			cancel()
		}
		if errors.As(err, new(*lostError)) {
			err = lostFailure(err)
		}
		var refused *Error
		if !errors.As(err, &refused) || !worthConnectingAgain(refused) || try >= x.cfg.Retries {
			return nil, err
		}
		if err := x.backOff(ctx, try, refused); err != nil {
			return nil, err
		}
	}
}

func (x *exclusive) takeLock(ctx context.Context, s *session) error {
	st, _, err := x.look(ctx, s, nil)
	if err == nil {
		err = st.check(x.cfg.Database, x.ledger)
	}
	if err == nil {
		_, err = x.open(ctx, s, st)
	}
	return err
}

// work runs the tool between two looks at the schema, with the lock held. It returns the session that is left, nil if none is.
func (x *exclusive) work(ctx context.Context, s *session) (*session, error) {
	if err := x.prepare(ctx, s); err != nil {
		return s, err
	}
	watched := x.watch(ctx, s)
	x.started, x.after.fingerprint = true, "" // until somebody looks, anything may have changed
	var runErr error
	x.status, runErr = x.command.Run(watched, x.toolSettings(s))
	stopped := runErr != nil && watched.Err() != nil
	if stopped {
		runErr = stoppedFailure(watched, runErr)
	}
	watched.stop()
	after := ctx
	if stopped {
		var cancel context.CancelFunc
		after, cancel = context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
	}
	s, err := x.again(after, s)
	if err == nil {
		err = x.review(after, s)
	}
	switch {
	case runErr != nil:
		return s, x.explainTool(runErr)
	case err != nil:
		return s, err
	}
	return s, x.doubt()
}

// prepare makes sure that nothing of an earlier run is still at work, looks at the schema and records that the run begins.
func (x *exclusive) prepare(ctx context.Context, s *session) error {
	if err := x.endStrays(ctx, s); err != nil {
		return err
	}
	var err error
	if x.before, err = x.observe(ctx, s); err != nil {
		return err
	}
	x.after = x.before
	if d := x.before.dirty; d != nil {
		x.log.Warn("the tool's history is dirty", "because", d.Failure.Message, "remedy", d.Failure.Hint)
	}
	if x.before.held != "" {
		x.log.Warn(x.before.held)
	}
	_, err = s.ask(ctx, x.ledger.beginRunSQL(x.id, x.digest, x.cfg))
	x.entered = err == nil
	return err
}

// again returns the session, or a new one where a pooler may have given the old one up meanwhile.
func (x *exclusive) again(ctx context.Context, s *session) (*session, error) {
	if !s.pooled {
		return s, nil
	}
	s.close(ctx) //nolint:errcheck // the lease does not depend on it
	s, err := connect(ctx, x.cfg)
	if err != nil {
		return nil, err
	}
	return s, s.throughPooler()
}

// review looks at the schema once the tool's last session has gone.
func (x *exclusive) review(ctx context.Context, s *session) error {
	patience, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	if err := x.endStrays(patience, s); err != nil && patience.Err() == nil {
		return err
	}
	seen, err := x.observe(ctx, s)
	if err == nil {
		x.after = seen
	}
	return err
}

// observe reads the tool's history and takes the fingerprint. Somebody else may hold a lock on the tables: it tries again. It does
// without the fingerprint rather than without the tool.
func (x *exclusive) observe(ctx context.Context, s *session) (out sight, err error) {
	err = x.patiently(ctx, s, func() (err error) {
		out.toolRecord, err = readHistory(ctx, s, x.command.History)
		return err
	})
	if err != nil {
		return out, err
	}
	err = x.patiently(ctx, s, func() (err error) {
		out.fingerprint, err = x.ledger.fingerprint(ctx, s, out.tables)
		return err
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Failure.SQLState != "" && ctx.Err() == nil {
		x.log.Warn("the schema's fingerprint could not be taken", "because", refused.Error())
		_, err = s.ask(ctx, "ROLLBACK")
	}
	return out, err
}

// patiently asks again while a lock is in the way, once the transaction that it has ended is over.
func (x *exclusive) patiently(ctx context.Context, s *session, ask func() error) error {
	for try := 0; ; try++ {
		err := ask()
		var refused *Error
		if !errors.As(err, &refused) || !retryable(refused.Failure.SQLState) || try >= x.cfg.Retries {
			return err
		}
		if _, err := s.ask(ctx, "ROLLBACK"); err != nil {
			return err
		}
		if err := x.backOff(ctx, try, refused); err != nil {
			return err
		}
	}
}

// watch asks the server again and again whether the session, and with it the lock, is still there; the context ends if it is not.
// A lease is looked after already. Its first question also tells those who wait what is being run.
func (x *exclusive) watch(ctx context.Context, s *session) kept {
	ctx, lost := context.WithCancelCause(ctx)
	if s.pooled {
		return kept{ctx, func() { lost(nil) }}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchTimeout)
			_, err := s.ask(asking, note(x.command.Name)+" SELECT 1")
			cancel()
			if err != nil {
				lost(lockLost(err))
				return
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return kept{ctx, func() {
		close(done)
		<-ended
		lost(nil)
	}}
}

// lockLost is the error of a run whose session ended under it.
func lockLost(cause error) *Error {
	return fail(migrations.ExitUnreachable, "the connection that holds the migration lock is gone: "+networkCause(cause),
		"check the server and the network, and run it again")
}

// stoppedFailure says why a tool was stopped, with what it said last.
func stoppedFailure(ctx context.Context, runErr error) *Error {
	e := *interrupted(ctx)
	e.Failure.Output = FailureOf(runErr).Output
	return &e
}

// explainTool adds to a tool's failure what its SQLSTATE means, and what its history says about it.
func (x *exclusive) explainTool(err error) error {
	e := &Error{Failure: *FailureOf(err)}
	var told *Error
	if errors.As(err, &told) {
		e.cause = told.cause
	}
	if f := &e.Failure; f.SQLState != "" {
		f.Code = codeOf(f.SQLState)
		f.Permanent, f.Hint = f.Code.Permanent(), fallback(hintFor(&pgconn.PgError{Code: f.SQLState}), f.Hint)
	}
	switch {
	case x.after.dirty != nil:
		e.Failure.Message += "; its history says: " + x.after.dirty.Failure.Message
		e.Failure.Hint = x.after.dirty.Failure.Hint
	case x.after.held != "":
		e.Failure.Hint = x.after.held
	}
	return e
}

// doubt returns why a tool that ended with success is not believed, if it is not.
func (x *exclusive) doubt() error {
	h := x.command.History
	switch {
	case x.after.dirty != nil:
		return about(h.Tool, x.after.table, x.after.dirty)
	case !x.after.there && h.Tool == ToolCustom:
		return misconfigured(x.command.Name+" ended with success, but what the history's query reads from is not there",
			"check that the tool uses the same database and schema as DATABASE_URL, and correct the query")
	case !x.after.there:
		return misconfigured(fmt.Sprintf("%s ended with success, but there is no history of %s", x.command.Name, h.Tool),
			"check that the tool uses the same database and schema as DATABASE_URL; name a renamed table with --history-table")
	}
	return nil
}

// leave records how the run ended and gives the lock back. If that fails, the run has not succeeded: another one finds out.
func (x *exclusive) leave(ctx context.Context, s *session, runErr error) error {
	messages := []string{s.reset, x.lock.dropSQL()}
	if x.entered {
		var failure []byte
		if runErr != nil {
			failure, _ = json.Marshal(FailureOf(runErr)) // a struct of strings and numbers always encodes
		}
		messages = []string{s.reset, x.ledger.endRunSQL(x.id, x.outcome(runErr), failure, nil), x.lock.dropSQL()}
	}
	_, err := s.askAll(ctx, append([]string{"ROLLBACK"}, messages...)...)
	if runErr == nil && errors.As(err, new(*lostError)) {
		err = lostFailure(err)
	}
	if runErr != nil {
		return runErr
	}
	return err
}

func (x *exclusive) outcome(err error) migrations.Outcome {
	switch {
	case err != nil:
		return migrations.OutcomeFailed
	case x.changed():
		return migrations.OutcomeSucceeded
	}
	return migrations.OutcomeCurrent
}

// changed reports whether anything has, as far as can be told.
func (x *exclusive) changed() bool {
	return x.before.fingerprint != x.after.fingerprint || x.after.fingerprint == "" || !x.after.same(x.before.foreign)
}

// tell makes the report.
func (x *exclusive) tell(cfg Config, err error) migrations.Report {
	rep := x.report(cfg, err)
	from, to := x.before.newest(), x.after.newest()
	rep.From, rep.To, rep.Outcome = from.version, to.version, x.outcome(err)
	applied, repeated := x.after.since(x.before.foreign)
	if !x.after.newestOnly {
		rep.Count = len(applied) + len(repeated)
	}
	for _, p := range applied {
		if p.version != "" {
			rep.Applied = append(rep.Applied, p.version)
		}
	}
	slices.SortFunc(rep.Applied, migrations.Version.Compare)
	for _, p := range repeated {
		rep.Repeated = append(rep.Repeated, p.name)
	}
	if x.started {
		rep.Tool = &migrations.ToolRun{History: string(x.command.History.Tool), From: from.name, To: to.name,
			Changed: x.changed(), Fingerprint: x.after.fingerprint}
		if x.status >= 0 {
			rep.Tool.Status = &x.status
		}
		if hint := x.command.History.unnumbered(to); err == nil && hint != "" {
			rep.Tool.Hint = hint
			x.log.Warn("the tool's history gives no version, so nothing that waits for this schema finds it ready", "newest", to.name, "remedy", hint)
		}
	}
	return rep
}
