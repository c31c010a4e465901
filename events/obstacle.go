package events

import "time"

// Obstacle is what has kept the newest migration from a result. It is not an attempt's outcome: nothing is known to have
// failed, and what was ready still is.
type Obstacle struct {
	Kind        Predicate `json:"kind"` // of the event that told it
	Version     string    `json:"version"`
	Digest      string    `json:"digest"`
	Revision    string    `json:"revision,omitempty"`
	DryRevision string    `json:"dryRevision,omitempty"` // as of an Attempt
	Application string    `json:"application,omitempty"`
	Run         string    `json:"run"`    // what tells it from another of the same kind and digest: the sync's start
	Since       time.Time `json:"since"`  // when it came to be, by the cluster's clock
	Reason      string    `json:"reason"` // for a person: why, and what to do next
}

// Obstructs reports whether p tells of an obstacle.
func (p Predicate) Obstructs() bool {
	switch p {
	case Skipped, Terminated, Deleted, Unattempted, Blocked, Stuck:
		return true
	}
	return false
}
