package jetstream

import "sync"

// scans remembers how far the stream was looked through for an event that is perhaps in it. What takes longer than its caller has time goes
// on from there when the event is told again.
type scans struct {
	mu sync.Mutex
	of map[string]scan // by the subject of the event's state, and its predicate
}

type scan struct {
	id string // of the event that is looked for
	at uint64 // the sequence up to which it is not in the stream
}

// begin returns up to where an event is known not to be in the stream.
func (s *scans) begin(key, id string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.of[key]; known.id == id {
		return known.at
	}
	return 0
}

// end remembers it for an event that is still to be told.
func (s *scans) end(key, id string, at uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[key] = scan{id, at}
}

// forget is for an event that is in the stream.
func (s *scans) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, key)
}
