package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// session is one connection. Everything is said in the simple query protocol: a message may hold many statements, the server
// itself divides them, and many messages may be under way at once.
type session struct {
	pg       *pgconn.PgConn
	settings map[string]string // as they should hold for whatever a migration does
	begin    []string          // the statements that begin a transaction
	reset    string            // the statements that undo what a migration may have left in the session

	pooled     bool     // the server session may be another one after each transaction
	outlasting []string // settings that decide what a statement means, and that cannot be made for one outside a transaction then
}

// window is how many messages are sent ahead of their replies. Behind a pooler each waits for the reply to the one before it:
// pgbouncer 1.18 takes the first reply for the last, and if this client then dies, whoever gets the server session next gets the
// other replies with it.
func (s *session) window() int {
	if s.pooled {
		return 1
	}
	return windowMessages
}

// reply is the server's answer to one message.
type reply struct {
	rows      [][][]byte      // of all its statements
	completed int             // statements that ran to their end
	err       *pgconn.PgError // of the statement that did not, if any; those after it were skipped
}

// lostError says that the connection broke.
type lostError struct{ cause error }

func (e *lostError) Error() string { return "connection lost: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

// errCopyIn answers a COPY FROM STDIN that escaped the loader; the connection is given up.
var errCopyIn = errors.New("COPY … FROM STDIN waits for data that a migration cannot send")

// receive reads up to the end of one message's replies.
func (s *session) receive(keepRows bool) (reply, error) {
	var r reply
	for {
		msg, err := s.pg.ReceiveMessage(context.Background())
		if err != nil {
			return r, err
		}
		switch msg := msg.(type) {
		case *pgproto3.ReadyForQuery:
			return r, nil
		case *pgproto3.CommandComplete:
			r.completed++
		case *pgproto3.ErrorResponse:
			r.err = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.DataRow:
			if keepRows {
				r.rows = append(r.rows, copyRow(msg.Values))
			}
		case *pgproto3.CopyInResponse:
			return r, errCopyIn
		}
	}
}

// copyRow keeps a row beyond the next message.
func copyRow(values [][]byte) [][]byte {
	row := make([][]byte, len(values))
	for i, v := range values {
		if v != nil {
			row[i] = append([]byte{}, v...)
		}
	}
	return row
}

// ask sends one message and returns its rows.
func (s *session) ask(ctx context.Context, sql string) ([][][]byte, error) {
	replies, err := s.askAll(ctx, sql)
	if err != nil {
		return nil, err
	}
	return replies[0].rows, nil
}

// askAll sends messages of our own in one flight and returns their replies; the first one refused is the error.
func (s *session) askAll(ctx context.Context, messages ...string) ([]reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, interrupted(ctx)
	}
	var replies []reply
	err := s.exchange(ctx, len(messages), func(i int) string { return messages[i] }, true, func(_ int, r reply) bool {
		replies = append(replies, r)
		return r.err == nil
	})
	if err != nil {
		return nil, err
	}
	for _, r := range replies {
		if r.err != nil {
			if ctx.Err() != nil {
				return nil, interrupted(ctx)
			}
			return nil, serverFailure(r.err)
		}
	}
	if len(replies) < len(messages) {
		return nil, interrupted(ctx)
	}
	return replies, nil
}

// close says goodbye. The server frees the session's locks, if any are left, when it notices.
func (s *session) close(ctx context.Context) error {
	if err := s.pg.Close(ctx); err != nil {
		return fmt.Errorf("close the connection: %w", err)
	}
	return nil
}
