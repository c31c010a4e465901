package postgres

import (
	"context"
	"encoding/hex"
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
// locks, and of plans, which the server itself keeps right; RESET ALL goes back to the settings of the startup message, ours included.
const resetSQL = "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;CLOSE ALL;UNLISTEN *;DEALLOCATE ALL;DISCARD TEMP;DISCARD SEQUENCES"

// statementWidth is how much of a failing statement a report shows, in bytes.
const statementWidth = 400

// partBytes is how much of a file is sent as one message, as long as a statement is not longer: the server parses a whole message
// before it executes any of it, and takes some twenty times its length for that.
const partBytes = 1 << 20

// part is one message of a migration's transaction: all of it, unless the file is long. The server finds the statements' ends itself.
type part struct {
	migration migrations.Migration
	head      string // the note; of the first part, the clean session, BEGIN and the ledger's row too
	before    int    // statements in head
	start     int    // where text begins in the file
	text      string // of the file
	tail      string // of the last part, COMMIT
}

// isLong reports whether a migration is sent in several parts.
func isLong(m migrations.Migration) bool { return len(m.Up.SQL) > partBytes }

// transaction prepares a migration whose row is written by record. async leaves the commit's flush to a later one.
//
// It begins with a clean session: were that left to the end of the one before, a request to cancel could meet it there, and what
// is sent ahead would go on with its settings. What cleans it has a transaction of its own: a transaction takes its isolation level,
// and whether it may write, from what is the default when it begins. Behind a pooler nothing is sent ahead, and what comes after may
// get another session, so there the end is the place.
func (r *runner) transaction(s *session, m migrations.Migration, record string, async bool) []part {
	var statements []string
	tail := "\n;COMMIT"
	if s.pooled {
		tail += ";" + s.reset
	} else {
		statements = append([]string{"BEGIN"}, strings.Split(s.reset+";COMMIT", ";")...)
	}
	statements = append(statements, r.beginning(s)...)
	if async {
		statements = append(statements, "SET LOCAL synchronous_commit TO off")
	}
	statements = append(statements, record)
	texts := m.Up.Pieces(partBytes)
	parts := make([]part, len(texts))
	start := 0
	for i, text := range texts {
		parts[i] = part{migration: m, head: note(m.Up.Path), start: start, text: text}
		start += len(text)
	}
	parts[0].head += strings.Join(statements, ";") + ";"
	parts[0].before = len(statements)
	parts[len(parts)-1].tail = tail
	return parts
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
func (p part) message() string { return p.head + p.text + p.tail }

// statements divides the part.
func (p part) statements() []migrations.Statement {
	all, _ := p.migration.Up.Split() // the loader has checked that it can be
	from := slices.IndexFunc(all, func(st migrations.Statement) bool { return st.Offset >= p.start })
	if from < 0 {
		return nil
	}
	mine := all[from:]
	if to := slices.IndexFunc(mine, func(st migrations.Statement) bool { return st.Offset >= p.start+len(p.text) }); to >= 0 {
		mine = mine[:to]
	}
	return mine
}

// committed reports whether the transaction was committed although the message failed, with so many statements completed: in what
// comes after COMMIT.
func (p part) committed(completed int) bool {
	return p.tail != "" && completed > p.before+len(p.statements())
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
	transaction := func(i int) part { return r.transaction(s, pending[i], record(i), i < len(pending)-1)[0] }
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
	case failed != nil && transaction(applied).committed(completed):
		r.done(pending[applied], time.Since(began))
		return applied + 1, r.unclean(ctx, failed)
	case failed != nil:
		return applied, r.explain(ctx, transaction(applied), failed, completed)
	case applied < len(pending):
		return applied, interrupted(ctx)
	}
	return applied, nil
}

// applyLong runs a migration whose transaction takes several messages. It returns how many were applied.
func (r *runner) applyLong(ctx context.Context, s *session, m migrations.Migration) (applied int, err error) {
	began := time.Now()
	committed, err := r.carryOut(ctx, s, r.transaction(s, m, r.recorder([]migrations.Migration{m})(0), false))
	if !committed {
		return 0, err
	}
	r.done(m, time.Since(began))
	return 1, err
}

// carryOut sends a transaction's messages one after the reply to the other: what is sent ahead could go on after a failure, by a
// ROLLBACK TO SAVEPOINT.
func (r *runner) carryOut(ctx context.Context, s *session, parts []part) (committed bool, err error) {
	for _, p := range parts {
		var answer reply
		answered := false
		err := s.exchange(ctx, 1, func(int) string { return p.message() }, false, func(_ int, got reply) bool {
			answer, answered = got, true
			return true
		})
		switch {
		case err != nil:
			return false, r.lost(err, p.migration)
		case !answered:
			return false, interrupted(ctx)
		case answer.err != nil && p.committed(answer.completed):
			return true, r.unclean(ctx, answer.err)
		case answer.err != nil:
			return false, r.explain(ctx, p, answer.err, answer.completed)
		}
	}
	return true, nil
}

// unclean is the error of a session that could not be made clean after a commit.
func (r *runner) unclean(ctx context.Context, pe *pgconn.PgError) error {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	return serverFailure(pe)
}

// lost names the migration that was under way when the connection broke.
func (r *runner) lost(err error, m migrations.Migration) error {
	if errors.Is(err, errCopyIn) {
		e := fail(migrations.ExitRejected, errCopyIn.Error(), "write INSERT statements")
		e.Failure.File = m.Up.Path
		return e
	}
	var lost *lostError
	if errors.As(err, &lost) {
		err = lost.cause
	}
	return &lostError{fmt.Errorf("%s: %w", m.Up.Path, err)}
}

// explain says which statement of which file failed, and where in it.
func (r *runner) explain(ctx context.Context, p part, pe *pgconn.PgError, completed int) error {
	m, statements := p.migration, p.statements()
	at := completed - p.before
	offset := -1
	if pe.Position > 0 {
		offset = r.byteOffset(p.message(), int(pe.Position)-1) - len(p.head)
	}
	if pe.Code == untranslatable && completed == 0 { // of the message as a whole, before any of it was read
		offset = strings.Index(p.text, quotedBytes(pe))
	}
	switch {
	case offset >= 0 && len(statements) > 0:
		return r.place(ctx, m.Up, within(statements, p.start+offset), p.start+offset, pe)
	case at < 0 && completed == 0 && isInText(pe):
		return r.unplaced(ctx, m, pe, "somewhere in this file")
	case at < 0:
		return r.refusedRow(ctx, m, pe)
	case at >= len(statements):
		return r.unplaced(ctx, m, pe, "at COMMIT")
	}
	return r.place(ctx, m.Up, statements[at], -1, pe)
}

// isInText reports whether an error is one of data or of syntax. Of a message none of whose statements has been completed, the first
// being BEGIN, it is about the text as a whole, which the server has not read to its end.
func isInText(pe *pgconn.PgError) bool {
	return strings.HasPrefix(pe.Code, "22") || strings.HasPrefix(pe.Code, "42")
}

// unplaced makes the error for a file as a whole.
func (r *runner) unplaced(ctx context.Context, m migrations.Migration, pe *pgconn.PgError, where string) error {
	e := r.place(ctx, m.Up, migrations.Statement{SQL: m.Up.SQL}, -1, pe)
	e.Failure.Line, e.Failure.Column, e.Failure.Statement = 0, 0, ""
	e.Failure.Message += " (" + where + ")"
	return e
}

// untranslatable is the SQLSTATE of a character that the database's encoding does not have (untranslatable_character).
const untranslatable = "22P05"

// quotedBytes returns the character that the message of such an error tells as "0xe2 0x82 0xac".
func quotedBytes(pe *pgconn.PgError) string {
	var out []byte
	for word := range strings.FieldsSeq(pe.Message) {
		if digits, ok := strings.CutPrefix(word, "0x"); ok {
			b, err := hex.DecodeString(digits)
			if err != nil {
				break
			}
			out = append(out, b...)
		}
	}
	return string(out)
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
	switch pe.Code[:min(2, len(pe.Code))] {
	case "3F", "42":
		e.Failure.Hint = "a migration before this one, or somebody else, has changed the ledger's tables or the role's rights to them: undo that"
	case "23":
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
	switch {
	case offset >= 0 && pe.Code == untranslatable: // in a comment, maybe
		f.Line, f.Column = script.At(offset)
	case offset >= 0:
		f.Line, f.Column = script.At(min(offset, st.Offset+len(st.SQL)))
	}
	f.Statement = migrations.Redact(st.SQL, statementWidth)
	if pe.Code == "57014" && r.cfg.StatementTimeout > 0 {
		f.Hint = "raise policy.statementTimeout, or do the work in smaller steps"
	}
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
