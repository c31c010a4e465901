package events

import (
	"strings"
	"time"
)

// Event is one fact about a database's migrations, as the event stream carries it. Its id is made from the fact alone, so
// that publishing a fact twice leaves one message.
type Event struct {
	ID          string    `json:"-"` // the CloudEvents id and the Nats-Msg-Id; see EventID
	Predicate   Predicate `json:"-"` // the last token of the subject and of the CloudEvents type
	Time        time.Time `json:"-"` // when the fact came to be, the CloudEvents time
	Environment string    `json:"environment"`
	Database    string    `json:"database"`
	Tenant      string    `json:"tenant,omitempty"`
	Attempt     *Attempt  `json:"attempt,omitempty"` // what was tried; Outcome is empty while it runs
	Ready       *Ready    `json:"ready,omitempty"`   // what is ready after this fact; nil: nothing is
	Reason      string    `json:"reason,omitempty"`  // for a person: why, and what to do next
}

// Predicate says what happened.
type Predicate string

// The predicates. All are lower-case letters, as CDEvents asks of custom events.
const (
	Started   Predicate = "started"   // a migration Job runs
	Succeeded Predicate = "succeeded" // the schema is ready
	Failed    Predicate = "failed"    // an attempt failed; the last ready schema stays ready

	// The obstacles: a migration that was due has no result. See Obstacle.
	Skipped     Predicate = "skipped"     // a sync went by without running the migration it carries
	Terminated  Predicate = "terminated"  // the sync was terminated while the migration ran
	Deleted     Predicate = "deleted"     // the Job was deleted before its result was seen, and the sync still waits for it
	Unattempted Predicate = "unattempted" // the sync failed before the migration was begun
	Blocked     Predicate = "blocked"     // a sync window, or the admission policy, keeps the sync from beginning or going on
	Stuck       Predicate = "stuck"       // Argo CD takes the commit for one that it has tried, and will not sync it by itself
)

// Precedes reports whether e tells of the beginning of a run whose Job was told to be gone, under the id, already: whoever tells it does not
// see the Job, and Argo CD goes on waiting for it.
func (e Event) Precedes(id string) bool {
	gone := e
	gone.Predicate = Deleted
	return e.Predicate == Started && id == EventID(gone)
}

// Repeats reports whether e tells of the beginning of an attempt that told has told of already, by other evidence; latest says that nothing
// was told of the database since. Argo CD knows a Job by its sync alone. A Job whose sync is not known, or was taken for an earlier one, is
// of the one that began last before it. Argo CD's word on a sync says nothing new, either, once a later one of its Application was told.
func (e Event) Repeats(told Event, latest bool) bool {
	if e.Predicate != Started || told.Predicate != Started || e.Attempt == nil || told.Attempt == nil {
		return false
	}
	if e.Attempt.Evidence == EvidenceApplication && e.Attempt.Application == told.Attempt.Application && told.Attempt.Sync.After(e.Attempt.Started) {
		return true // whoever tells it has not heard of the sync that followed
	}
	sync, job := *e.Attempt, *told.Attempt
	if job.Evidence == EvidenceApplication {
		sync, job = job, sync
	} else {
		latest = true // Argo CD tells only of a sync that goes on, so that nothing has come after it
	}
	if sync.Evidence != EvidenceApplication || job.Evidence == EvidenceApplication || job.Application != "" && sync.Application != job.Application ||
		!strings.HasPrefix(job.Digest, sync.Digest) {
		return false
	}
	return job.Sync.Equal(sync.Started) || latest && job.Sync.Before(sync.Started) && !job.Started.Before(sync.Started)
}
