package postgres

import (
	"context"
	"errors"
)

// sight is what is to be seen of the schema at one moment.
type sight struct {
	toolRecord
	fingerprint string // empty if it could not be taken
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
		if !errors.As(err, &refused) || !refused.retryable || try >= x.cfg.Retries {
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
