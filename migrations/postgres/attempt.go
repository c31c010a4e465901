package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// repeat runs attempt until it succeeds, fails for good or the retries are used up. One that may leave part of its work committed is
// not repeated in the same run.
func (w *walk) repeat(ctx context.Context, st migrations.Statement, partly bool, attempt func() (*pgconn.PgError, int, error)) error {
	for try := 0; ; try++ {
		pe, offset, err := attempt()
		if err != nil {
			return w.lostDuring(err)
		}
		if pe == nil {
			return nil
		}
		place := -1
		if offset >= 0 {
			place = st.Offset + min(offset, len(st.SQL))
		}
		failure := w.place(ctx, w.migration.Up, st, place, pe)
		if ctx.Err() != nil || !failure.retryable || partly || try >= w.cfg.Retries {
			return failure
		}
		if err := w.backOff(ctx, try, failure); err != nil {
			return err
		}
	}
}

// lostDuring adds the file to an error that does not name one.
func (w *walk) lostDuring(err error) error {
	if _, ok := err.(*lostError); ok {
		return w.lost(err, w.migration)
	}
	if e, ok := err.(*Error); ok && e.Failure.File == "" {
		e.Failure.File = w.migration.Up.Path
	}
	return err
}

// inForce is the file's own settings so far, as a prefix of a statement.
func (w *walk) inForce() string {
	if len(w.settings) == 0 {
		return ""
	}
	return strings.Join(w.settings, ";\n") + ";\n"
}

// send sends one message that begins with so many statements of our own. position is where in it the server found the error,
// in bytes after skip; negative if it did not say.
func (w *walk) send(ctx context.Context, message string, own, skip int) (pe *pgconn.PgError, position int, err error) {
	var answer reply
	err = w.session.exchange(ctx, 1, func(int) string { return message }, false, func(_ int, r reply) bool {
		answer = r
		return true
	})
	if pe = answer.err; err != nil || pe == nil {
		if err == nil && ctx.Err() != nil {
			err = interrupted(ctx)
		}
		return nil, -1, err
	}
	if pe.Code == lostLease && answer.completed < own {
		return nil, -1, leaseLost()
	}
	position = -1
	if pe.Position > 0 {
		position = w.byteOffset(message, int(pe.Position)-1) - skip
	}
	_, cleanErr := w.session.askAll(context.WithoutCancel(ctx), "ROLLBACK", w.session.reset)
	return pe, position, cleanErr
}

// fitForPooler refuses a statement that would run behind a pooler without what is to be set for it: by its file, by the
// connection's URL, or because its names are those of a tenant's schema.
func (w *walk) fitForPooler(st migrations.Statement) error {
	missing := w.session.outlasting
	if len(w.settings) > 0 {
		missing = append(slices.Clone(missing), "what the file sets before it")
	}
	if !w.session.pooled || len(missing) == 0 {
		return nil
	}
	e := misconfigured("a statement that cannot run in a transaction goes through a pooler, where no setting would hold for it ("+strings.Join(missing, ", ")+")",
		"use the database server's own address; or qualify the names and leave the settings out")
	e.Failure.File, e.Failure.Line, e.Failure.Column = w.migration.Up.Path, st.Line, st.Column
	return e
}

// sendAlone sends the statement, or what there is to be done instead, but for the partitions that this run has rebuilt already, on
// another connection maybe.
func (w *walk) sendAlone(ctx context.Context, st migrations.Statement, left leftover) (pe *pgconn.PgError, position int, err error) {
	statements := left.instead
	if len(statements) == 0 {
		statements = []string{st.SQL}
	}
	for _, sql := range statements {
		part := fmt.Sprintf("%s:%d: %s", w.entry, st.Offset, sql)
		if w.rebuilt[part] {
			continue
		}
		if pe, position, err = w.sendOne(ctx, st, sql, left.patient); pe != nil || err != nil {
			return pe, position, err
		}
		w.rebuilt[part] = left.rebuilds && len(left.instead) > 0
	}
	return nil, -1, nil
}

// sendOne sends the settings, one statement in a message of its own, and the reset, in one flight. Nothing cuts the patience of
// one that holds up nobody while it waits. One that others queue behind gives up after the lock timeout, so that they get
// through before it is tried again.
func (w *walk) sendOne(ctx context.Context, st migrations.Statement, sql string, patient bool) (pe *pgconn.PgError, position int, err error) {
	settings := w.inForce()
	if patient && !w.session.pooled { // behind a pooler it runs with the server's defaults
		settings = "SET lock_timeout TO 0;" + settings
	}
	messages := []string{note(w.migration.Up.Path) + sql, w.session.reset}
	if settings != "" {
		if _, err := w.session.ask(ctx, settings); err != nil {
			return nil, -1, err
		}
	}
	if w.lock.overdue() { // the statement has no fence
		return nil, -1, leaseLost()
	}
	answered := false
	err = w.session.exchange(ctx, len(messages), func(i int) string { return messages[i] }, false, func(i int, r reply) bool {
		if i == 0 {
			pe, answered = r.err, true
		}
		return true
	})
	switch {
	case err != nil:
		return nil, -1, err
	case !answered:
		return nil, -1, interrupted(ctx)
	case pe == nil:
		return nil, -1, nil
	}
	position = -1
	if pe.Position > 0 {
		position = w.byteOffset(messages[0], int(pe.Position)-1) - len(messages[0]) + len(sql)
	}
	return pe, position, nil
}
