package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// operation is what a person asks of a ledger, besides migrating. It looks at the state, refuses or says how to carry it
// out; nil says that there is nothing to do. It is asked twice: before anything is written or locked, and again under the lock.
type operation func(ctx context.Context, r *runner, s *session, st state) (carryOut func(context.Context) error, err error)

// operate carries out an operation under the ledger's lock, with the ledger made if it is not there.
//
// Unlike a run it is not begun anew when the connection breaks: a person is there to do that.
func operate(ctx context.Context, cfg Config, decide operation) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Deadline)
		defer cancel()
	}
	r := &runner{cfg: cfg, log: cfg.Logger.With("database", cfg.Database), ledger: ledger{cfg.LedgerSchema, cfg.Tenant},
		started: time.Now(), id: newID(), failures: map[string]int{}, rebuilt: map[string]bool{}}
	s, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		s.close(bye) //nolint:errcheck // nothing depends on it any more
	}()
	err = r.operate(ctx, s, decide)
	if errors.As(err, new(*lostError)) {
		err = lostFailure(err)
	}
	return err
}

func (r *runner) operate(ctx context.Context, s *session, decide operation) error {
	st, _, err := r.look(ctx, s, nil)
	if err != nil {
		return err
	}
	if carryOut, err := r.decide(ctx, s, st, decide); err != nil || carryOut == nil {
		return err
	}
	if st, err = r.open(ctx, s, st); err != nil {
		return err
	}
	defer r.end(ctx, s)
	hold := r.lock.keep(ctx, r.cfg)
	defer hold.stop()
	carryOut, err := r.decide(hold, s, st, decide)
	if err != nil || carryOut == nil {
		return err
	}
	return carryOut(hold)
}

func (r *runner) decide(ctx context.Context, s *session, st state, decide operation) (func(context.Context) error, error) {
	if err := st.check(r.cfg.Database, r.ledger); err != nil {
		return nil, err
	}
	return decide(ctx, r, s, st)
}

// end gives the lock back, whatever state the session is in.
func (r *runner) end(ctx context.Context, s *session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	s.askAll(ctx, "ROLLBACK", r.lock.dropSQL()) //nolint:errcheck // it ends with the session in a moment anyway, or with its term
}

// write carries out statements about the ledger in one transaction, behind the lock's fence.
func (r *runner) write(ctx context.Context, s *session, statements ...string) error {
	_, err := s.ask(ctx, strings.Join(append(r.beginning(s), statements...), ";")+";COMMIT")
	if sqlState(err) == lostLease {
		return leaseLost()
	}
	return err
}

// within asks in a transaction in which the session's settings hold, behind a pooler too.
func (s *session) within(ctx context.Context, sql string) ([][][]byte, error) {
	if !s.pooled {
		return s.ask(ctx, sql)
	}
	rows, err := s.ask(ctx, strings.Join(s.begin, ";")+";"+sql+";COMMIT")
	if err != nil {
		return nil, err
	}
	return rows[1:], nil // the last of s.begin answers with a row
}

// noHistory refuses a ledger that already remembers something.
func (st state) noHistory(schema string) error {
	if len(st.entries) == 0 {
		return nil
	}
	newest := migrations.Version("")
	for _, e := range st.entries {
		if e.Version.Compare(newest) > 0 {
			newest = e.Version
		}
	}
	return fail(migrations.ExitRejected, fmt.Sprintf("the ledger in schema %s has a history already, of %d migrations up to version %s", schema, len(st.entries), newest),
		"leave it as it is: schemawave plan shows what is pending, schemawave repair takes over changed files")
}
