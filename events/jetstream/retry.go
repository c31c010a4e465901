package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// final is an error that another attempt cannot change.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// retry is repeat for what one request does, or a few: each attempt has a deadline of its own.
func (l *link) retry(ctx context.Context, what string, attempt func(context.Context) error) error {
	return l.repeat(ctx, what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		return attempt(ctx)
	})
}

// repeat calls attempt, which bounds its requests itself, until it returns nil, ctx ends, or the error is one that trying again
// cannot change. It returns what attempt called final; a *DeniedError for a refusal; a *ConfigError for a
// request that the server rejects as such; else an *UnreachableError that carries the last error.
func (l *link) repeat(ctx context.Context, what string, attempt func(context.Context) error) error {
	var last error
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		if err := cause(ctx); err != nil {
			if lost := l.disconnected(); lost != nil {
				last = lost
			}
			return ended(what, err, last)
		}
		err := attempt(ctx)
		var (
			f   final
			api *jetstream.APIError
		)
		switch {
		case err == nil:
			return nil
		case errors.As(err, &f):
			return f.error
		case errors.Is(err, nats.ErrConnectionClosed):
			return l.closed(what)
		case errors.As(err, &api) && !temporary(api):
			return &ConfigError{fmt.Errorf("%s: %w", what, err)}
		case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, jetstream.ErrStreamNotFound):
			last = errNoStream
		case ctx.Err() == nil || last == nil:
			last = err
		}
		sleep(ctx, jitter(pause))
	}
}

// ended says why there is no answer: the refusal if there was one, else the last error before time ran out.
func ended(what string, why, last error) error {
	var denied *DeniedError
	switch {
	case errors.As(why, &denied):
		return denied
	case last == nil:
		return &UnreachableError{What: what, Err: why}
	}
	return &UnreachableError{What: what, Err: fmt.Errorf("%w (%w)", last, why)}
}

// temporary: a missing stream may be made, the files of a deleted one may be in the way of the next a moment longer, JetStream may be starting
// or without a leader (503), and what is ambiguous is settled by looking.
func temporary(api *jetstream.APIError) bool {
	return ambiguous(api) || api.Code == 503 || api.ErrorCode == jetstream.JSErrCodeStreamNotFound || api.ErrorCode == streamNotCreated
}

// streamNotCreated is the error code of a stream whose files cannot be made (nats-server, JSStreamCreateErrF).
const streamNotCreated jetstream.ErrorCode = 10049

// jitter spreads d over half to one and a half of itself.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
