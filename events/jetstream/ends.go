package jetstream

import "sync"

// ends remembers the last event of each database that this process has published to, and the state that it has stored since. So neither need
// be looked at before the next event, as long as nobody else tells one: then the stream refuses what follows the event that was the last.
type ends struct {
	mu sync.Mutex
	of map[string]end // by the filter of a database's events
}

type end struct {
	event stored // without a time
	state uint64 // the revision of the state that was stored when event was known to be the last; 0: none was
}

// told notes that an event was stored as the last of its database.
func (e *ends) told(database, id string, revision uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.of[database] = end{event: stored{revision: revision, id: id}}
}

// last is the revision of the event that is remembered; 0 if none is.
func (e *ends) last(database string) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.of[database].event.revision
}

// moved notes that a state was stored after an event was remembered.
func (e *ends) moved(database string, event, state uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at := e.of[database]; event > 0 && at.event.revision == event {
		at.state = state
		e.of[database] = at
	}
}

// before returns the event that was remembered when a state was stored, and false if none was.
func (e *ends) before(database string, state uint64) (stored, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.of[database]
	return at.event, state > 0 && at.state == state
}

// forget is for when it is not known what the last event is.
func (e *ends) forget(database string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.of, database)
}
