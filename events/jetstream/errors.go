package jetstream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/schemawave/schemawave/events"
)

// ErrConflict is the answer to PublishState when another state has taken the place that was expected: read it, decide
// again, and publish again if there is still something to say.
var ErrConflict = errors.New("another state was published meanwhile")

// ConfigError is a setting that cannot work, whatever the server does.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// DeniedError is a refusal by the NATS server: of the connection itself, or of one subject.
type DeniedError struct {
	Action  string // "publish to", "subscribe to", or "connect"
	Subject string // empty for "connect"
	Err     error
}

func (e *DeniedError) Error() string {
	if e.Subject == "" {
		return fmt.Sprintf("nats denies to %s: %v: check the credentials", e.Action, e.Err)
	}
	return fmt.Sprintf("nats denies to %s %s: grant it to this user, or use another", e.Action, e.Subject)
}
func (e *DeniedError) Unwrap() error { return e.Err }

// UnreachableError says that nothing was learnt: no server answered, or none that holds the stream.
type UnreachableError struct {
	What string // what does not answer
	Err  error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }

// Unmet is one target that a wait ended without.
type Unmet struct {
	Target  events.Target
	State   events.State // the last known one; only the names are set if there is none
	Verdict events.Verdict
}

// WaitError is the end of a wait whose states are known and do not satisfy it.
type WaitError struct {
	Unmet []Unmet // at least one; those that ended the wait first
	Cause error   // what ended the wait if waiting longer might have helped: the context's error; nil otherwise
}

// Answer is that of the first unmet target.
func (e *WaitError) Answer() events.Answer { return e.Unmet[0].Verdict.Answer }

// Failure is what the failed attempt reported, and nil unless Answer is events.AttemptFailed.
func (e *WaitError) Failure() *events.Failure { return e.Unmet[0].Verdict.Failure }

func (e *WaitError) Error() string {
	reasons := make([]string, len(e.Unmet))
	for i, u := range e.Unmet {
		reasons[i] = u.Verdict.Reason
	}
	t := fmt.Sprintf("wait for %s: %s", e.Unmet[0].Target, strings.Join(reasons, "; "))
	if e.Cause != nil {
		t += ": " + e.Cause.Error()
	}
	return t
}
func (e *WaitError) Unwrap() error { return e.Cause }
