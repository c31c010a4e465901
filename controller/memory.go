package controller

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/schemawave/schemawave/events"
)

// memory spares repetition: of calls for states and events that are known to be out, of log lines, and of warnings to people. Losing it
// costs one of each for each database.
type memory struct {
	mu     sync.Mutex
	era    int // how often it was forgotten what is out
	states map[target]lastState
	events map[target]map[string]bool
	doubts map[target]string
	runs   map[target]string // the last one that succeeded at no version
	others map[target]string // the Application whose database has a name that is taken
	said   map[string]bool
	left   map[target]string // the last reason not to heal
}

// lastState is a state with its revision, which is 0 if there is none.
type lastState struct {
	state    events.State
	revision uint64
}

func newMemory() memory {
	return memory{states: map[target]lastState{}, events: map[target]map[string]bool{}, doubts: map[target]string{}, runs: map[target]string{}, others: map[target]string{}, said: map[string]bool{}, left: map[target]string{}}
}

func (m *memory) told(t target, id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.events[t][id]
}

// last is the state that was published when the last pass ended, and false if that is not known.
func (m *memory) last(t target) (lastState, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, ok := m.states[t]
	return last, ok
}

// tell remembers the state and the events of a pass in place of those of the pass before, unless it was forgotten since the pass began what
// is out.
func (m *memory) tell(t target, era int, last lastState, ids map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if era == m.era {
		m.states[t], m.events[t] = last, ids
	}
}

// mistrust forgets the state of a database, for another may have taken its place.
func (m *memory) mistrust(t target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.states, t)
}

func (m *memory) begin() (era int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.era
}

// tellAgain forgets what is out.
func (m *memory) tellAgain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.era++
	clear(m.states)
	clear(m.events)
}

func (m *memory) forget(t target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.states, t)
	delete(m.events, t)
	delete(m.doubts, t)
	delete(m.runs, t)
	delete(m.others, t)
	delete(m.left, t)
}

// news notes what is said of a database, in the place of what was said before, and reports whether it is another thing.
func (m *memory) news(said map[target]string, t target, what string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := said[t]
	said[t] = what
	return before != what
}

// unversioned reports whether it is news that this run succeeded at no version.
func (m *memory) unversioned(t target, run string) bool { return m.news(m.runs, t, run) }

// taken reports whether it is news that the name of a database is taken for this Application.
func (m *memory) taken(t target, application string) bool { return m.news(m.others, t, application) }

// doubt logs what is not said and why, if that changed.
func (m *memory) doubt(log *slog.Logger, t target, doubts []string) {
	if !m.news(m.doubts, t, fmt.Sprint(doubts)) {
		return
	}
	for _, d := range doubts {
		log.Warn("nothing is said about "+d, "environment", t.Environment, "database", t.Database)
	}
}

// unhealed logs why nothing is done about an obstacle, if that changed; the empty reason is that something is done.
func (m *memory) unhealed(log *slog.Logger, t target, o events.Obstacle, why string) {
	if m.news(m.left, t, fmt.Sprint(o.Kind, o.Run, why)) && why != "" {
		log.Info("not asked for a sync of "+o.Application+": "+why, "environment", t.Environment, "database", t.Database, "obstacle", o.Kind)
	}
}

// once logs a message the first time only.
func (m *memory) once(log *slog.Logger, message string, args ...any) {
	m.mu.Lock()
	said := m.said[message]
	m.said[message] = true
	m.mu.Unlock()
	if !said {
		log.Warn(message, args...)
	}
}
