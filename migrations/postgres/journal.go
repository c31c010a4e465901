package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// step is a row of table statement: one statement of a migration that does not run in one transaction.
type step struct {
	prefix   string // hash of the statement and all before it
	finished bool
	failed   bool // the server said so; otherwise an unfinished step's end is unknown
	existed  bool // what the statement makes or removes was there when it was first tried
}

// walk is one pass over the statements of such a migration.
type walk struct {
	*runner
	session    *session
	migration  migrations.Migration
	entry      string // the migration's name in the journal
	statements []migrations.Statement
	prefixes   []string
	steps      map[int]step
	settings   []string // the SET statements met so far; each statement runs with all of them in force
}

// applyStepwise runs the statements of a migration one by one, each journalled, going on after those that an earlier run
// has finished. The migration's row is written when all are done.
//
// A statement that PostgreSQL takes in a transaction commits together with its entry, so it is executed exactly once. One
// that it does not take, or that commits by itself, is entered before and after: if the program dies in between, what it left is
// examined before it is tried again. What a CALL or DO that commits has left nobody can tell: it is repeated.
func (r *runner) applyStepwise(ctx context.Context, s *session, m migrations.Migration) error {
	began := time.Now()
	w := &walk{runner: r, session: s, migration: m, entry: m.ID()}
	if err := w.all(ctx); err != nil {
		return err
	}
	if err := w.commit(ctx, r.recorder([]migrations.Migration{m})(0), w.ledger.forgetSQL(w.entry)); err != nil {
		return err
	}
	r.done(m, time.Since(began))
	return nil
}

// all runs the statements that have not been.
func (w *walk) all(ctx context.Context) (err error) {
	if w.statements, err = w.migration.Up.Split(); err != nil {
		return err
	}
	w.prefixes = prefixes(w.statements)
	if w.steps, err = w.read(ctx); err != nil {
		return err
	}
	err = w.unchanged()
	switch {
	case err != nil && w.migration.Version != "":
		return err
	case w.migration.Version == "" && (err != nil || len(w.steps) == 0): // a repeatable one may change whenever it likes, and begins anew
		w.steps = map[int]step{}
		stale := w.ledger.staleSQL(" AND name = " + literal(w.migration.Name)) // for it may be left half run
		if err := w.commit(ctx, w.ledger.forgetSQL(w.entry), stale); err != nil {
			return err
		}
	}
	for i, st := range w.statements {
		switch {
		case st.SetsSession():
			err = w.set(ctx, i)
		case w.steps[i].finished:
			continue
		case st.NonTransactional() != "" || w.hasBegun(i): // an entry that is not finished is of one that was alone
			err = w.alone(ctx, i)
		default:
			err = w.together(ctx, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// set puts a setting in force for what follows. The server is asked whether it takes it, alone and without effect, so that its own
// place is told if it does not; unless it has taken it for a statement that is finished.
func (w *walk) set(ctx context.Context, i int) error {
	st := w.statements[i]
	own := w.beginning(w.session)
	head := note(w.migration.Up.Path) + strings.Join(own, ";") + ";" + w.inForce()
	w.settings = append(w.settings, st.SQL)
	for ordinal, step := range w.steps {
		if step.finished && ordinal > i {
			return nil
		}
	}
	return w.repeat(ctx, st, false, func() (*pgconn.PgError, int, error) {
		return w.send(ctx, head+st.SQL+"\n;ROLLBACK", len(own), len(head))
	})
}

// hasBegun reports whether an earlier attempt has begun statement i as it is now.
func (w *walk) hasBegun(i int) bool { return w.steps[i].prefix == w.prefixes[i] }

// prefixes hashes each statement together with all before it, so that an edit of one shows in all that follow.
func prefixes(statements []migrations.Statement) []string {
	out := make([]string, len(statements))
	h := sha256.New()
	for i, st := range statements {
		fmt.Fprintf(h, "%d:%s\n", len(st.SQL), st.SQL)
		out[i] = hex.EncodeToString(h.Sum(nil))
	}
	return out
}

// commit carries out statements about the journal or the ledger, in one transaction.
func (w *walk) commit(ctx context.Context, statements ...string) error {
	return w.write(ctx, w.session, statements...)
}

// mine is the condition that a row of the journal is about this migration.
func (w *walk) mine() string { return w.ledger.journalled(w.entry) }

// read tells how far an earlier run has come, and cleans the session of what the migration before has left in it.
func (w *walk) read(ctx context.Context) (map[int]step, error) {
	rows, err := w.session.ask(ctx, w.session.reset+fmt.Sprintf(";SELECT ordinal, prefix, finished IS NOT NULL, failed, existed FROM %s WHERE %s",
		w.ledger.table("statement"), w.mine()))
	if err != nil {
		return nil, err
	}
	steps := make(map[int]step, len(rows))
	for _, row := range rows {
		i, err := strconv.Atoi(string(row[0]))
		if err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		steps[i] = step{prefix: string(row[1]), finished: string(row[2]) == "t", failed: string(row[3]) == "t", existed: string(row[4]) == "t"}
	}
	return steps, nil
}

// unchanged refuses a file in which a statement that has been executed is no longer the same.
func (w *walk) unchanged() error {
	for i := range w.statements {
		if st, ok := w.steps[i]; ok && st.finished && st.prefix != w.prefixes[i] {
			e := fail(migrations.ExitRejected, "this file is half applied, and a statement that was executed has been changed since",
				"restore the statements up to this one; those after it may be changed")
			e.Failure.File, e.Failure.Line, e.Failure.Column = w.migration.Up.Path, w.statements[i].Line, w.statements[i].Column
			return e
		}
	}
	for i, st := range w.steps {
		if st.finished && i >= len(w.statements) {
			e := fail(migrations.ExitRejected, "this file is half applied, and statements that were executed have been deleted since", "restore them")
			e.Failure.File = w.migration.Up.Path
			return e
		}
	}
	return nil
}

// enter is the journal's entry for statement i; done says that it is finished.
func (w *walk) enter(i int, existed, done bool) string {
	finished := "NULL"
	if done {
		finished = "pg_catalog.clock_timestamp()"
	}
	return fmt.Sprintf("INSERT INTO %s (tenant, migration, ordinal, prefix, existed, run, finished) VALUES (%s, %s, %d, %s, %t, %s, %s) "+
		"ON CONFLICT (tenant, migration, ordinal) DO UPDATE SET prefix = excluded.prefix, existed = excluded.existed, run = excluded.run, "+
		"started = excluded.started, finished = excluded.finished, failed = false",
		w.ledger.table("statement"), literal(w.ledger.tenant), literal(w.entry), i, literal(w.prefixes[i]), existed, literal(w.id), finished)
}

// leave marks statement i as finished or as failed.
func (w *walk) leave(i int, failed bool) string {
	set := "finished = pg_catalog.clock_timestamp()"
	if failed {
		set = "failed = true"
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s AND ordinal = %d", w.ledger.table("statement"), set, w.mine(), i)
}

// together runs a statement in one transaction with its entry.
func (w *walk) together(ctx context.Context, i int) error {
	st := w.statements[i]
	own := append(w.beginning(w.session), w.enter(i, false, true))
	head := note(w.migration.Up.Path) + strings.Join(own, ";") + ";" + w.inForce()
	err := w.repeat(ctx, st, false, func() (*pgconn.PgError, int, error) {
		return w.send(ctx, head+st.SQL+"\n;COMMIT;"+w.session.reset, len(own), len(head))
	})
	if state := sqlState(err); state == insideTransaction || state == "2D000" { // it needs to be outside a transaction after all, or commits by itself
		return w.alone(ctx, i)
	}
	return err
}

// alone runs a statement outside a transaction, after dealing with what an interrupted attempt has left.
func (w *walk) alone(ctx context.Context, i int) error {
	st := w.statements[i]
	if err := w.fitForPooler(st); err != nil {
		return err
	}
	tries := 0
	return w.repeat(ctx, st, st.MayCommit(), func() (*pgconn.PgError, int, error) {
		tries++
		before, found := w.steps[i]
		interruptedBefore := w.hasBegun(i) && !before.failed
		if interruptedBefore {
			if err := w.outwait(ctx, st, underWay(w.migration.Up.Path)); err != nil {
				return nil, 0, err
			}
		}
		triedBefore := found || tries > 1
		left, err := w.inspect(ctx, st, triedBefore)
		if err != nil {
			return nil, 0, err
		}
		if interruptedBefore && left.isDone(before.existed) {
			return nil, 0, w.wasDone(ctx, i)
		}
		if interruptedBefore && st.MayCommit() {
			w.log.Warn("a statement that commits by itself is run again: nobody heard how far it had come", "file", w.migration.Up.Path, "line", st.Line)
		}
		if err := w.clean(ctx, left, triedBefore); err != nil {
			return nil, 0, err
		}
		if err := w.outwait(ctx, st, left.outwait); err != nil {
			return nil, 0, err
		}
		existed := left.exists && !left.invalid
		if interruptedBefore {
			existed = before.existed
		}
		if err := w.commit(ctx, w.enter(i, existed, false)); err != nil {
			return nil, 0, err
		}
		w.steps[i] = step{prefix: w.prefixes[i], existed: existed}
		pe, position, err := w.sendAlone(ctx, st, left)
		if err != nil || ctx.Err() != nil && pe != nil { // how far it came is not known
			return pe, position, err
		}
		if pe != nil && interruptedBefore {
			switch left, err = w.inspect(ctx, st, true); {
			case err != nil:
				return nil, 0, err
			case left.isDone(existed): // the interrupted attempt was still under way
				return nil, 0, w.wasDone(ctx, i)
			}
		}
		if pe != nil {
			w.steps[i] = step{prefix: w.prefixes[i], existed: existed, failed: true}
		}
		return pe, position, w.commit(context.WithoutCancel(ctx), w.leave(i, pe != nil)) // if the lease is lost, others have been here
	})
}

// wasDone completes the journal's entry for statement i, which was executed by an attempt whose end nobody heard of.
func (w *walk) wasDone(ctx context.Context, i int) error {
	w.log.Info("statement had been executed before the interruption", "file", w.migration.Up.Path, "line", w.statements[i].Line)
	return w.commit(ctx, w.leave(i, false))
}

// insideTransaction is the SQLSTATE of what must not be in a transaction block (active_sql_transaction).
const insideTransaction = "25001"

// isSingle reports whether the script is one statement, apart from settings of the session.
func isSingle(s migrations.Script) bool {
	statements, err := s.Split()
	return err == nil && len(slices.DeleteFunc(statements, migrations.Statement.SetsSession)) == 1
}

// sqlState returns the SQLSTATE of an error of this package, or "".
func sqlState(err error) string {
	if e, ok := err.(*Error); ok {
		return e.Failure.SQLState
	}
	return ""
}
