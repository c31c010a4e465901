package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// link is a connection with an ear to what the server and the network say of it. The server never answers a request that it
// refuses, and a connection that is being made again does not say why it fails; without this, both look like a timeout.
type link struct {
	nc *nats.Conn

	mu      sync.Mutex
	guards  map[*guard]struct{}
	trouble error // the last one that concerns no single subscription, since somebody last saw the connection whole
}

// guard ends an operation when the server refuses a subject that concerns it.
type guard struct {
	concerns func(subject string) bool
	cancel   context.CancelCauseFunc
}

// listen hears what nc says from now on, before whatever error handler nc already has. Call it while nc is being set up:
// two that do so at the same moment may overhear each other.
func listen(nc *nats.Conn) *link {
	l := &link{nc: nc, guards: make(map[*guard]struct{})}
	before := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		l.hear(sub, err)
		if before != nil {
			before(nc, sub, err)
		}
	})
	return l
}

// guard returns a context that ends with a *DeniedError as its cause when the server refuses a subject that concerns the
// caller, or the inbox that its answers go to. The caller must call release.
func (l *link) guard(ctx context.Context, concerns func(subject string) bool) (guarded context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	g := &guard{concerns, cancel}
	l.mu.Lock()
	l.guards[g] = struct{}{}
	l.mu.Unlock()
	return ctx, func() {
		l.mu.Lock()
		delete(l.guards, g)
		l.mu.Unlock()
		cancel(nil)
	}
}

func (l *link) hear(sub *nats.Subscription, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	denied := denial(err)
	if denied == nil {
		if sub == nil {
			l.trouble = err
		}
		return
	}
	for g := range l.guards {
		if g.concerns(denied.Subject) || strings.HasPrefix(denied.Subject, l.inbox()) {
			g.cancel(denied)
		}
	}
}

func (l *link) inbox() string {
	if p := l.nc.Opts.InboxPrefix; p != "" {
		return p + "."
	}
	return nats.InboxPrefix
}

// disconnected says why there is no server at the moment, and is nil if there is one.
func (l *link) disconnected() error {
	status := l.nc.Status()
	l.mu.Lock()
	defer l.mu.Unlock()
	if status == nats.CONNECTED {
		l.trouble = nil
		return nil
	}
	err := fmt.Errorf("nats at %s is not connected (%s)", redact(l.nc.Servers()), strings.ToLower(status.String()))
	// nats.go tells its handler of an address that it cannot reach, and keeps to itself what went wrong after that (TLS,
	// credentials) until the next attempt.
	if last := cmp.Or(l.nc.LastError(), l.trouble); last != nil {
		l.trouble = last // while it connects again, nothing says that it was refused before
		err = fmt.Errorf("%w: %w", err, last)
	}
	return err
}

// unexplained reports whether there is no server at the moment, and why is not known yet: nats.go tells that a moment after it has tried.
func (l *link) unexplained() bool {
	err := l.disconnected()
	l.mu.Lock()
	defer l.mu.Unlock()
	return err != nil && l.trouble == nil
}

// closed says why the connection is closed for good: by a refusal, or by its owner.
func (l *link) closed(what string) error {
	if denied := denial(l.nc.LastError()); denied != nil && denied.Subject == "" {
		return denied
	}
	return &UnreachableError{What: what, Err: nats.ErrConnectionClosed}
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
