package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/schemawave/schemawave/migrations"
)

// Command is a team's own tool for migrations.
type Command struct {
	Name    string      // for those who wait and for messages; without arguments, which may hold secrets
	Digest  string      // of what was rendered, for the report and the ledger; may be empty
	History ToolHistory // where the tool keeps its own

	// Run runs the tool to its end. When ctx ends, the lock may be lost in a moment: it stops the tool, and then returns an error
	// whatever the tool made of that. The settings are for the tool's sessions; nil if a pooler is in between, which takes none.
	// It returns the exit status, negative if there is none. An *Error with an SQLSTATE, which the tool's output told, is classified
	// by that, and any error as the server's absence if that cannot be reached any more.
	Run func(ctx context.Context, settings map[string]string) (status int, err error)
}

// Exclusively runs a tool under the ledger's lock, so that any number may be started at once, together with Migrate, and one
// works while the others wait. It has the database to itself: those of tenants wait for it, and it for them. The tool itself connects
// as it is configured to, and decides what there is to do: it is always run.
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
		runErr = withOutput(interrupted(watched), runErr) // why it was stopped
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
	switch gone := unreachable(err); {
	case runErr != nil && !stopped && gone != nil:
		return s, withOutput(gone, runErr)
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
