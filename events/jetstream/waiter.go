package jetstream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/events"
)

// Waiter waits for schemas on a connection. It may be used by many goroutines; each Wait costs the server one subscription
// per target and a direct get now and then.
type Waiter struct {
	*link
	reread time.Duration // the state is read again after this to one and a half times as long, come what may
}

// NewWaiter waits on nc, which stays the caller's to close and should reconnect for ever, as those of Connect do.
func NewWaiter(nc *nats.Conn) *Waiter {
	return &Waiter{link: listen(nc), reread: 10 * time.Second}
}

// OnFailure says what a failed attempt at the required version means to a wait. The zero value is Fail.
type OnFailure int

// What a failed attempt means.
const (
	Fail      OnFailure = iota // the wait ends at once, with the reason
	KeepGoing                  // the wait goes on: another attempt may succeed
)

// Query is what to wait for.
type Query struct {
	Targets   []events.Target // at least one
	Any       bool            // one of them will do; otherwise all must be satisfied at the same time
	OnFailure OnFailure
	Progress  func(message string) // told, from Wait's own goroutine, whenever the reason for waiting on changes; may be nil

	// Fallback is asked, from the same goroutine, for the state of a database that NATS could not be asked for: it is away, or without the
	// stream. That state counts until NATS answers; an error leaves things as they are. It is not asked where NATS denies. It must not block
	// for long; nil asks nobody.
	Fallback func(ctx context.Context, environment, database, tenant string) (events.State, error)
}

// Wait returns as soon as the targets are satisfied, with their states in the order of the targets. It is told of changes
// by the server, and reads the states itself at first, after each reconnect and every 10 to 15 seconds.
//
// It waits through everything that can pass: a server that is away, a stream or a state that does not exist yet. It ends
// early with a *WaitError for a failed attempt (unless OnFailure says otherwise) or for a schema that has moved too far
// for the reader, and with a *DeniedError. When ctx ends, the error is a *WaitError that names what is not ready and why,
// or an *UnreachableError if nothing could be learnt; both wrap the context's error. The states that are known come with
// every error.
func (w *Waiter) Wait(ctx context.Context, q Query) ([]events.State, error) {
	if len(q.Targets) == 0 {
		return nil, errNoTarget
	}
	v := newVigil(w, q)
	ctx, release := w.guard(ctx, v.concerns)
	defer release()
	err := v.keep(ctx, v.judge)
	return v.states(), err
}

var errNoTarget error = &ConfigError{errors.New("nothing to wait for: name a target, as in production/orders@20261122093000")}

// topic is the subject of one or several targets and what is known of it.
type topic struct {
	environment, database, tenant string
	subject, live                 string
	known                         bool // it was read at least once, if only to learn that there is no message
	last                          stored
	state                         events.State
	trouble                       error         // why the last look at it taught nothing; nil if it did
	fallback                      *events.State // what counts meanwhile; nil: what NATS told last
}

// current is the state that counts.
func (t *topic) current() events.State {
	if t.fallback != nil {
		return *t.fallback
	}
	return t.state
}

// vigil is one call of Wait. All of it runs on the caller's goroutine.
type vigil struct {
	w        *Waiter
	q        Query
	topics   []*topic // distinct
	byTarget []*topic // of each target
	live     chan *nats.Msg
	said     string
}

func newVigil(w *Waiter, q Query) *vigil {
	v := &vigil{w: w, q: q}
	bySubject := make(map[string]*topic)
	for _, t := range q.Targets {
		subject := events.StateSubject(t.Environment, t.Database, t.Tenant)
		if bySubject[subject] == nil {
			bySubject[subject] = &topic{
				environment: t.Environment, database: t.Database, tenant: t.Tenant,
				subject: subject, live: events.LiveSubject(t.Environment, t.Database, t.Tenant),
				state: events.State{Environment: t.Environment, Database: t.Database, Tenant: t.Tenant},
			}
			v.topics = append(v.topics, bySubject[subject])
		}
		v.byTarget = append(v.byTarget, bySubject[subject])
	}
	// A few messages per topic: states change seldom, and what does not fit is found by the next read.
	v.live = make(chan *nats.Msg, 4+2*len(v.topics))
	return v
}

func (v *vigil) concerns(denied string) bool {
	for _, t := range v.topics {
		if denied == t.live || denied == directSubject(events.StateStream, t.subject) {
			return true
		}
	}
	return false
}

func (v *vigil) states() []events.State {
	states := make([]events.State, len(v.byTarget))
	for i, t := range v.byTarget {
		states[i] = t.current()
	}
	return states
}
