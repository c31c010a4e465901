package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/events"
)

// keep calls look after everything that may have changed what is known, until look says that it is done, ctx ends or the
// connection is closed for good. It listens first and reads then, so that no change falls between the two.
func (v *vigil) keep(ctx context.Context, look func() (done bool, err error)) error {
	status := v.w.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer v.w.nc.RemoveStatusListener(status)
	for _, t := range v.topics {
		sub, err := v.w.nc.ChanSubscribe(t.live, v.live)
		if err != nil {
			return v.closed()
		}
		defer v.unsubscribe(sub)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return v.timedOut(cause(ctx))
		case m := <-v.live:
			v.hear(m)
		case <-status: // it only wakes: what is so is seen by looking
			timer.Reset(0)
			continue
		case <-timer.C:
			if v.w.nc.IsClosed() {
				return v.closed()
			}
			switch {
			case v.read(ctx):
				pause = v.w.reread
			case v.q.Fallback != nil && v.w.unexplained(): // it may be a denial
				pause = 50 * time.Millisecond
			default:
				v.fallBack(ctx)
				pause = min(max(2*pause, time.Second), v.w.reread)
			}
			timer.Reset(pause + jitter(pause/2))
		}
		if done, err := look(); done {
			return err
		}
	}
}

// unsubscribe lets a subscription end a moment later: of thousands that one message releases, none holds up another by telling
// the server at once that it hears no more.
func (v *vigil) unsubscribe(sub *nats.Subscription) {
	time.AfterFunc(jitter(time.Second), func() {
		sub.Unsubscribe() //nolint:errcheck // fails only if the connection is closed, and then there is nothing left to undo
	})
}

// readTimeout bounds one direct get.
const readTimeout = 3 * time.Second

// read looks at every topic and reports whether each look taught something. Before the first look the server confirms the
// subscriptions, which are made anew after a reconnect.
func (v *vigil) read(ctx context.Context) (ok bool) {
	if err := v.w.disconnected(); err != nil {
		v.lost(err)
		return false
	}
	flush, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := v.w.nc.FlushWithContext(flush); err != nil {
		v.lost(fmt.Errorf("nats does not answer: %w", err))
		return false
	}
	ok = true
	for _, t := range v.topics {
		once, cancel := context.WithTimeout(ctx, readTimeout)
		s, err := directGet(once, v.w.nc, events.StateStream, t.subject)
		cancel()
		ok = t.learn(s, err) && ok
	}
	return ok
}

// learn takes the answer to a direct get, and reports whether it taught something. That there is no message takes nothing from what
// is known: a replica may lag, and a stream that was made anew is empty until somebody publishes.
func (t *topic) learn(s stored, err error) (ok bool) {
	switch {
	case errors.Is(err, errNoMessage):
		t.answered()
	case err != nil:
		t.trouble = fmt.Errorf("stream %s: %w", events.StateStream, err)
		return false
	default:
		t.accept(s)
	}
	return true
}

func (v *vigil) lost(err error) {
	for _, t := range v.topics {
		t.trouble = err
	}
}

// fallBack asks elsewhere for what NATS could not be asked for. That takes nothing from what NATS has told: a ledger does not know what a
// team's own tool has done.
func (v *vigil) fallBack(ctx context.Context) {
	for _, t := range v.topics {
		if v.q.Fallback == nil || t.trouble == nil || ctx.Err() != nil || denial(t.trouble) != nil {
			continue
		}
		s, err := v.q.Fallback(ctx, t.environment, t.database, t.tenant)
		if err != nil {
			t.trouble = fmt.Errorf("%w; %w", t.trouble, err)
			continue
		}
		t.known, t.fallback = true, &s
		switch was := t.state.Ready; {
		case was == nil:
		case s.Ready == nil || events.CompareVersions(s.Ready.Version, was.Version) < 0:
			t.fallback = nil
		case events.CompareVersions(was.MinCompatible, s.Ready.MinCompatible) > 0:
			ready := *s.Ready
			ready.MinCompatible = was.MinCompatible // a reader that was too old still is
			s.Ready = &ready
		}
	}
}

// hear takes a republished message. One that no stream stored, or on another subject, is nobody's state.
func (v *vigil) hear(m *nats.Msg) {
	for _, t := range v.topics {
		if t.live != m.Subject || !storedOn(m, t.subject) {
			continue
		}
		if s, err := fromHeaders(m); err == nil {
			t.accept(s)
		}
	}
}

// answered notes that NATS was asked, and had something to say, if only that there is nothing.
func (t *topic) answered() { t.known, t.trouble, t.fallback = true, nil, nil }

func (t *topic) accept(s stored) {
	t.answered()
	if !s.newerThan(t.last) {
		return
	}
	state, err := s.state(t.environment, t.database, t.tenant)
	if err != nil {
		t.trouble = err
		return
	}
	t.last, t.state = s, state
}

// judge decides whether the wait is over and says why it is not.
func (v *vigil) judge() (done bool, err error) {
	satisfied, open, lost := v.tally()
	switch {
	case v.q.met(satisfied):
		return true, nil
	case len(lost) > 0 && (!v.q.Any || len(open) == 0):
		return true, &WaitError{Unmet: lost}
	}
	v.say(open)
	return false, nil
}

func (q Query) met(satisfied int) bool {
	return satisfied == len(q.Targets) || q.Any && satisfied > 0
}

// tally judges every target: how many are satisfied, for which waiting may help, and for which it does not.
func (v *vigil) tally() (satisfied int, open, lost []Unmet) {
	for i, target := range v.q.Targets {
		state := v.byTarget[i].current()
		u := Unmet{Target: target, State: state, Verdict: state.Satisfies(target.Version)}
		switch a := u.Verdict.Answer; {
		case a == events.Satisfied:
			satisfied++
		case a == events.Incompatible, a == events.AttemptFailed && v.q.OnFailure == Fail:
			lost = append(lost, u)
		default:
			open = append(open, u)
		}
	}
	return satisfied, open, lost
}

// timedOut is the end by ctx: a refusal, or not ready as far as is known, or nothing is known.
func (v *vigil) timedOut(why error) error {
	var denied *DeniedError
	if errors.As(why, &denied) {
		return denied
	}
	if trouble := v.trouble(); trouble != nil && !v.anyKnown() {
		return &UnreachableError{What: "wait for " + v.q.Targets[0].String(), Err: fmt.Errorf("%w (%w)", trouble, why)}
	}
	_, open, _ := v.tally()
	return &WaitError{Unmet: open, Cause: why}
}

func (v *vigil) closed() error { return v.w.link.closed("wait for " + v.q.Targets[0].String()) }

func (v *vigil) anyKnown() bool {
	return slices.ContainsFunc(v.topics, func(t *topic) bool { return t.known })
}

func (v *vigil) trouble() error {
	for _, t := range v.topics {
		if t.trouble != nil {
			return t.trouble
		}
	}
	return nil
}

// say tells why the wait goes on, once for each reason.
func (v *vigil) say(open []Unmet) {
	if v.q.Progress == nil {
		return
	}
	var reasons []string
	if trouble := v.trouble(); trouble != nil {
		reasons = append(reasons, trouble.Error())
	}
	if v.anyKnown() {
		for _, u := range open {
			reasons = append(reasons, u.Verdict.Reason)
		}
	}
	if message := strings.Join(reasons, "; "); message != v.said {
		v.said = message
		v.q.Progress(message)
	}
}
