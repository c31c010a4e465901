package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// resetSQL undoes what a migration may have left in the session. It is DISCARD ALL without the release of advisory
// locks; RESET ALL goes back to the settings of the startup message, ours included.
const resetSQL = "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;CLOSE ALL;UNLISTEN *;DEALLOCATE ALL;DISCARD TEMP"

// statementWidth is how much of a failing statement a report shows, in bytes.
const statementWidth = 400

// transaction is one migration as one message: BEGIN, the ledger's row, the file as it is, COMMIT, and a clean session
// for the next. The server finds the statements' ends itself.
type transaction struct {
	migration migrations.Migration
	prefix    string
	before    int    // statements in prefix
	reset     string // the session's
}

// transaction prepares a migration whose row is written by record. async leaves the commit's flush to a later one.
func (r *runner) transaction(s *session, m migrations.Migration, record string, async bool) transaction {
	statements := r.beginning(s)
	if async {
		statements = append(statements, "SET LOCAL synchronous_commit TO off")
	}
	statements = append(statements, record)
	return transaction{migration: m, prefix: note(m.Up.Path) + strings.Join(statements, ";") + ";", before: len(statements), reset: s.reset}
}

// beginning is what each transaction of the run begins with, the lock's fence included.
func (r *runner) beginning(s *session) []string {
	statements := slices.Clone(s.begin)
	if fence := r.lock.fence(); fence != "" {
		statements = append(statements, fence)
	}
	return statements
}

// message ends the file with a line break, in case its last line is a comment.
func (t transaction) message() string {
	return t.prefix + t.migration.Up.SQL + "\n;COMMIT;" + t.reset
}

// recorder returns what makes the statement that records the i-th of the pending migrations.
func (r *runner) recorder(pending []migrations.Migration) func(i int) string {
	tips, digests := make([]migrations.Version, len(pending)+1), r.digests(pending)
	tips[0] = r.tip
	for i, m := range pending {
		if tips[i+1] = m.Version; m.Version == "" {
			tips[i+1] = tips[i]
		}
	}
	return func(i int) string {
		switch m := pending[i]; {
		case m.Version != "":
			return r.ledger.insertSQL(m, tips[i], digests[i], r.id)
		case i > 0 && pending[i-1].Version == "":
			return r.ledger.repeatSQL(m, &pending[i-1], tips[i], r.id)
		default:
			return r.ledger.repeatSQL(m, nil, tips[i], r.id)
		}
	}
}

// applyTransactional runs consecutive migrations, all but waiting for each other: the messages are sent ahead of the
// replies, and should one fail, the aborted transaction and the broken chain of the ledger refuse all that follow. It
// returns how many were applied.
//
// Only the last commit waits for the disk: it makes all before it durable too (PostgreSQL, "Asynchronous Commit"), and
// the schema and the ledger cannot part, for each migration's commit holds both.
func (r *runner) applyTransactional(ctx context.Context, s *session, pending []migrations.Migration) (applied int, err error) {
	record := r.recorder(pending)
	transaction := func(i int) transaction { return r.transaction(s, pending[i], record(i), i < len(pending)-1) }
	var failed *pgconn.PgError
	var completed int
	began := time.Now()
	message := func(i int) string { return transaction(i).message() }
	err = s.exchange(ctx, len(pending), message, false, func(i int, reply reply) bool {
		if failed != nil {
			return false
		}
		if reply.err != nil {
			failed, completed = reply.err, reply.completed
			return false
		}
		applied++
		now := time.Now()
		r.done(pending[i], now.Sub(began))
		began = now
		return true
	})
	switch {
	case err != nil && applied < len(pending):
		return applied, r.lost(err, pending[applied])
	case err != nil:
		return applied, err
	case failed != nil:
		return applied, r.explain(ctx, transaction(applied), failed, completed)
	case applied < len(pending):
		return applied, interrupted(ctx)
	}
	return applied, nil
}

// lost names the migration that was under way when the connection broke.
func (r *runner) lost(err error, m migrations.Migration) error {
	if errors.Is(err, errCopyIn) {
		e := fail(migrations.ExitRejected, errCopyIn.Error(), "write INSERT statements")
		e.Failure.File = m.Up.Path
		return e
	}
	return &lostError{fmt.Errorf("%s: %w", m.Up.Path, err)}
}

// explain says which statement of which file failed, and where in it.
func (r *runner) explain(ctx context.Context, t transaction, pe *pgconn.PgError, completed int) error {
	m := t.migration
	statements, err := m.Up.Split()
	if err != nil || len(statements) == 0 {
		return fmt.Errorf("divide %s: %w", m.Up.Path, err)
	}
	at := completed - t.before
	offset := -1
	if pe.Position > 0 {
		offset = r.byteOffset(t.message(), int(pe.Position)-1) - len(t.prefix)
	}
	switch {
	case offset >= 0:
		return r.place(ctx, m.Up, within(statements, offset), offset, pe)
	case at < 0:
		return r.refusedRow(ctx, m, pe)
	case at >= len(statements):
		e := r.place(ctx, m.Up, statements[len(statements)-1], -1, pe)
		e.Failure.Line, e.Failure.Column, e.Failure.Statement = 0, 0, ""
		e.Failure.Message += " (at COMMIT)"
		return e
	}
	return r.place(ctx, m.Up, statements[at], -1, pe)
}

// refusedRow explains why the ledger did not take a migration's row.
func (r *runner) refusedRow(ctx context.Context, m migrations.Migration, pe *pgconn.PgError) error {
	if pe.Code == lostLease {
		return leaseLost()
	}
	e := serverFailure(pe)
	e.Failure.File = m.Up.Path
	if ctx.Err() != nil {
		e.cutShort(ctx, "while its row in the ledger was written")
		return e
	}
	e.Failure.Message = "record in the ledger: " + e.Failure.Message
	if strings.HasPrefix(pe.Code, "23") {
		e.Failure.Code, e.Failure.Permanent = migrations.ExitBusy, false
		e.Failure.Message = "the ledger was changed by another runner meanwhile"
		e.Failure.Hint = "run it again; if it happens again, two runners use this ledger without seeing each other's lock"
	}
	return e
}

// place makes the error for a statement; offset, unless negative, is the spot in the script that the server pointed at.
func (r *runner) place(ctx context.Context, script migrations.Script, st migrations.Statement, offset int, pe *pgconn.PgError) *Error {
	e := serverFailure(pe)
	f := &e.Failure
	f.Message = safeMessage(pe, st.SQL)
	f.File, f.Line, f.Column = script.Path, st.Line, st.Column
	if offset >= 0 {
		f.Line, f.Column = script.At(min(offset, st.Offset+len(st.SQL)))
	}
	f.Statement = migrations.Redact(st.SQL, statementWidth)
	if ctx.Err() != nil {
		e.cutShort(ctx, "during this statement")
	}
	return e
}

// within returns the last statement that begins at or before offset.
func within(statements []migrations.Statement, offset int) migrations.Statement {
	found := statements[0]
	for _, st := range statements {
		if st.Offset > offset {
			break
		}
		found = st
	}
	return found
}

// byteOffset turns the server's position, counted in characters from 0, into one in bytes. A database in SQL_ASCII
// knows no characters and counts bytes.
func (r *runner) byteOffset(message string, position int) int {
	if r.serverEncoding == "SQL_ASCII" {
		return min(position, len(message))
	}
	at := 0
	for range position {
		if at >= len(message) {
			break
		}
		_, n := utf8.DecodeRuneInString(message[at:])
		at += n
	}
	return at
}
