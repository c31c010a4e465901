package controller

import (
	"context"
	"time"

	"github.com/schemawave/schemawave/events"
)

// outlet is where what was decided of one database is published, in the order that those who read it rely on: all events that follow
// from a state are out before the next state is.
type outlet struct {
	publisher Publisher
	timeout   time.Duration                // of one call
	counted   func(what string, err error) // told of each call
	known     func(id string) bool         // whether an event was seen to be out before

	absent func(context.Context, publication) error // makes sure that a Job is not there, where that is said; nil: it never is
	stated func(publication)                        // told of each whose state is published
	said   func(publication)                        // told of each when its event is out, too

	state    events.State // as published
	revision uint64
	told     map[string]bool // events that are out
}

// publish carries out publications in order.
func (o *outlet) publish(ctx context.Context, all []publication) error {
	// Whoever published the state may have been stopped before it told its events, and the world may show them no more.
	if err := o.tell(ctx, held(o.state)...); err != nil {
		return err
	}
	for _, p := range all {
		if p.State == nil && o.out(p.Event.ID) {
			continue
		}
		if p.Absent != nil {
			if err := o.absent(ctx, p); err != nil {
				return err
			}
		}
		if p.State != nil {
			if err := o.advance(ctx, p); err != nil {
				return err
			}
			o.stated(p)
		}
		if err := o.tell(ctx, p.Event); err != nil {
			return err
		}
		o.said(p)
	}
	return nil
}

// advance publishes the state that a fact leads to. The event that tells it comes after, by tell, or before if the state does not hold it.
func (o *outlet) advance(ctx context.Context, p publication) error {
	if !p.held() {
		if err := o.tell(ctx, p.Event); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	revision, err := o.publisher.PublishState(ctx, *p.State, o.revision, p.Event.ID)
	o.counted("state", err)
	if err != nil {
		return err
	}
	o.state, o.revision = *p.State, revision
	return nil
}

// tell publishes events that are not known to be out, and that follow from the state.
func (o *outlet) tell(ctx context.Context, due ...events.Event) error {
	for _, e := range due {
		if o.out(e.ID) {
			continue
		}
		if err := o.send(ctx, e); err != nil {
			return err
		}
		o.told[e.ID] = true
	}
	return nil
}

func (o *outlet) send(ctx context.Context, e events.Event) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err := o.publisher.PublishEvent(ctx, e, o.revision)
	o.counted("event", err)
	return err
}

// out reports whether an event is known to be out.
func (o *outlet) out(id string) bool {
	if !o.told[id] && o.known(id) {
		o.told[id] = true
	}
	return o.told[id]
}
