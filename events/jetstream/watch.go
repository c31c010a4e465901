package jetstream

import (
	"context"
	"fmt"
	"slices"

	"github.com/schemawave/schemawave/events"
)

// Watch follows the targets for a service that keeps running, at the same cost to the server as Wait. It calls changed from its
// own goroutine with their states, in the order of the targets, as soon as something is known or known to be unreachable, and
// again whenever a state or the answer changes. unmet is nil while the query is satisfied; otherwise it is a *WaitError with every
// target that is not, or an *UnreachableError as long as nothing could be learnt. What was learnt stays true while the
// server is away. A failed attempt ends nothing here, so OnFailure and Progress have no meaning.
//
// Watch returns when ctx ends, with its error, or when the server will never answer: a *DeniedError, or an
// *UnreachableError for a connection that its owner closed.
func (w *Waiter) Watch(ctx context.Context, q Query, changed func(states []events.State, unmet error)) error {
	if len(q.Targets) == 0 {
		return errNoTarget
	}
	v := newVigil(w, q)
	ctx, release := w.guard(ctx, v.concerns)
	defer release()
	var told string
	err := v.keep(ctx, func() (done bool, err error) {
		if ctx.Err() != nil {
			return false, nil // that the last look failed is the end's own doing
		}
		unmet := v.unmet()
		if now := fmt.Sprint(v.places(), unmet); now != told {
			told = now
			changed(v.states(), unmet)
		}
		return false, nil
	})
	if why := cause(ctx); why != nil {
		return why
	}
	return err
}

// unmet is why the query is not satisfied as far as is known, and nil if it is.
func (v *vigil) unmet() error {
	satisfied, open, lost := v.tally()
	switch trouble := v.trouble(); {
	case v.q.met(satisfied):
		return nil
	case trouble != nil && !v.anyKnown():
		return &UnreachableError{What: "watch " + v.q.Targets[0].String(), Err: trouble}
	}
	return &WaitError{Unmet: slices.Concat(lost, open)}
}

// places are those of the last messages, which differ whenever a state does.
func (v *vigil) places() (places []string) {
	for _, t := range v.topics {
		places = append(places, fmt.Sprint(t.last.revision, t.last.at))
	}
	return places
}
