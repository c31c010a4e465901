package jetstream

import (
	"context"
	"errors"
	"regexp"
	"sync"

	"github.com/nats-io/nats.go"
)

// denials turns the server's asynchronous refusals into the end of the operation that asked. The server never answers a
// request that it refuses, so without this a missing permission looks like a timeout.
type denials struct {
	mu     sync.Mutex
	guards map[*guard]struct{}
}

type guard struct {
	concerns func(subject string) bool
	cancel   context.CancelCauseFunc
}

// watchDenials listens on nc from now on, before whatever error handler nc already has. Call it while nc is being set up:
// two that do so at the same moment may overhear each other.
func watchDenials(nc *nats.Conn) *denials {
	d := &denials{guards: make(map[*guard]struct{})}
	before := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		d.report(err)
		if before != nil {
			before(nc, sub, err)
		}
	})
	return d
}

// guard returns a context that ends with a *DeniedError as its cause when the server refuses a subject that concerns the
// caller. The caller must call release.
func (d *denials) guard(ctx context.Context, concerns func(subject string) bool) (guarded context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	g := &guard{concerns, cancel}
	d.mu.Lock()
	d.guards[g] = struct{}{}
	d.mu.Unlock()
	return ctx, func() {
		d.mu.Lock()
		delete(d.guards, g)
		d.mu.Unlock()
		cancel(nil)
	}
}

func (d *denials) report(err error) {
	denied := denial(err)
	if denied == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for g := range d.guards {
		if g.concerns(denied.Subject) {
			g.cancel(denied)
		}
	}
}

// violation matches how a server tells of a refusal: Permissions Violation for Publish to "subject".
var violation = regexp.MustCompile(`(?i)violation for (publish|subscription) to "([^"]*)"`)

// denial reads a refusal of a subject or of the connection out of err, and is nil for any other error.
func denial(err error) *DeniedError {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired),
		errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return &DeniedError{Action: "connect", Err: err}
	case !errors.Is(err, nats.ErrPermissionViolation):
		return nil
	}
	m := violation.FindStringSubmatch(err.Error())
	if m == nil {
		return nil
	}
	action := "publish to"
	if m[1] == "subscription" || m[1] == "Subscription" {
		action = "subscribe to"
	}
	return &DeniedError{Action: action, Subject: m[2], Err: err}
}

// cause is the reason why ctx has ended, and nil while it has not: a refusal if there was one.
func cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
