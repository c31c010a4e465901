package controller

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/events"
)

// broker is a Publisher that keeps its contract in memory and remembers all it was told.
type broker struct {
	t      *testing.T
	states map[string]*slot
	told   map[string]bool
	log    []events.Event
	ready  []events.Ready
	reads  int
	calls  int         // to publish
	fail   func() bool // whether the next call is lost, before or after it is stored
}

type slot struct {
	state    events.State
	revision uint64
	id       string
}

var errLost = errors.New("no answer")

func newBroker(t *testing.T) *broker {
	return &broker{t: t, states: map[string]*slot{}, told: map[string]bool{}, fail: func() bool { return false }}
}

func (b *broker) slot(environment, database string) *slot {
	key := events.StateSubject(environment, database, "")
	if b.states[key] == nil {
		b.states[key] = &slot{state: events.State{Environment: environment, Database: database}}
	}
	return b.states[key]
}

func (b *broker) State(_ context.Context, environment, database, _ string) (events.State, uint64, error) {
	b.reads++
	s := b.slot(environment, database)
	if b.fail() {
		return events.State{}, 0, errLost
	}
	return s.state, s.revision, nil
}

func (b *broker) PublishState(_ context.Context, s events.State, expected uint64, id string) (uint64, error) {
	b.calls++
	if b.fail() {
		return 0, errLost
	}
	at := b.slot(s.Environment, s.Database)
	if at.id == id && reflect.DeepEqual(at.state, s) {
		return at.revision, nil
	}
	if at.revision != expected {
		return 0, fmt.Errorf("revision %d, expected %d", at.revision, expected)
	}
	*at = slot{state: s, revision: expected + 1, id: id}
	if s.Ready != nil {
		b.ready = append(b.ready, *s.Ready)
	}
	if b.fail() {
		return 0, errLost
	}
	return at.revision, nil
}

func (b *broker) PublishEvent(_ context.Context, e events.Event, _ uint64) error {
	b.calls++
	if b.fail() {
		return errLost
	}
	if e.ID == "" {
		b.t.Error("an event without an id")
	}
	if !b.told[e.ID] {
		b.told[e.ID] = true
		b.log = append(b.log, e)
	}
	if b.fail() {
		return errLost
	}
	return nil
}

// history is what was told, one line an event.
func (b *broker) history() []string {
	var lines []string
	for _, e := range b.log {
		a := e.Attempt
		line := fmt.Sprintf("%s %s/%s@%s %s", e.Predicate, e.Environment, e.Database, a.Version, a.Evidence)
		if a.Revision != "" {
			var short []string
			for r := range strings.SplitSeq(a.Revision, ",") {
				short = append(short, r[:min(7, len(r))])
			}
			line += " at " + strings.Join(short, ",")
		}
		if f := a.Failure; f != nil {
			line += fmt.Sprintf(" permanent=%t %q", f.Permanent, f.Message)
		}
		if e.Ready != nil {
			line += " ready=" + e.Ready.Version
		}
		lines = append(lines, line)
	}
	return lines
}
