package events

import "time"

// State is what is true of one database in one environment, the last message on its state subject.
type State struct {
	Environment string    `json:"environment"`
	Database    string    `json:"database"`
	Tenant      string    `json:"tenant,omitempty"`
	Ready       *Ready    `json:"ready,omitempty"`       // nil until a first migration is proven
	LastAttempt *Attempt  `json:"lastAttempt,omitempty"` // the newest attempt whose result is known, good or bad
	LateAttempt *Attempt  `json:"lateAttempt,omitempty"` // a success that was found out only after LastAttempt, though it may have come before it, and made Ready what it is
	Obstacle    *Obstacle `json:"obstacle,omitempty"`    // why a newer migration has no result; nil once one is begun
}

// Latest is the attempt whose result was the last; nil if there is none. Argo CD, whose word may be all there is on a sync, tells one result
// of it at a time, so that the success of a sync whose failure was told came after that: by a retry.
func (s State) Latest() *Attempt {
	if s.LateAttempt != nil && s.LastAttempt != nil && s.LateAttempt.Run == s.LastAttempt.Run {
		return s.LateAttempt
	}
	return s.LastAttempt
}

// Ready is a schema that is proven to be in place.
type Ready struct {
	Version       string    `json:"version"`
	MinCompatible string    `json:"minCompatible,omitempty"` // oldest version whose readers still work; empty: any older one does
	Digest        string    `json:"digest"`                  // of the migration set, "sha256:…"
	Revision      string    `json:"revision,omitempty"`      // the git commit that was synced
	Application   string    `json:"application,omitempty"`   // namespace/name of the Argo CD Application
	Evidence      Evidence  `json:"evidence"`
	Since         time.Time `json:"since"` // when the migration finished, by the best evidence's clock
}

// Evidence is what a result rests on, best first.
type Evidence string

// The kinds of evidence.
const (
	EvidenceReport      Evidence = "report"      // the Pod's own report of success, and a complete Job
	EvidenceJob         Evidence = "job"         // a complete Job that carries the digest
	EvidenceApplication Evidence = "application" // Argo CD's sync result for the Job of that digest
	EvidenceLedger      Evidence = "ledger"      // the database's own ledger, read by the publisher
)

// Attempt is one try to bring a database to a version.
type Attempt struct {
	Outcome     Outcome   `json:"outcome,omitempty"` // empty while it runs
	Version     string    `json:"version"`           // empty where nobody knows what it was to reach
	Digest      string    `json:"digest"`
	Revision    string    `json:"revision,omitempty"`
	DryRevision string    `json:"dryRevision,omitempty"` // the commit that Revision was hydrated from, where that was seen
	Application string    `json:"application,omitempty"`
	Evidence    Evidence  `json:"evidence,omitempty"` // empty while it runs
	Run         string    `json:"run"`                // what tells this attempt from another of the same digest: the Job's UID or the sync's start
	Sync        time.Time `json:"sync,omitzero"`      // when the sync began that it is part of, as Argo CD dates it; zero where that is not known
	Started     time.Time `json:"started,omitzero"`
	Finished    time.Time `json:"finished,omitzero"`
	Applied     []string  `json:"applied,omitempty"` // versions this attempt applied, where the report says so
	Failure     *Failure  `json:"error,omitempty"`   // set if Outcome is OutcomeFailed
}

// Outcome is how an attempt ended.
type Outcome string

// The outcomes of an attempt.
const (
	OutcomeSucceeded Outcome = "succeeded"
	OutcomeFailed    Outcome = "failed"
)

// Failure says why an attempt failed. A permanent failure needs another commit; a transient one may be retried.
type Failure struct {
	Permanent bool   `json:"permanent"`
	SQLState  string `json:"sqlstate,omitempty"`
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Column    int    `json:"column,omitempty"`
	Statement string `json:"statement,omitempty"` // its literals replaced
	Message   string `json:"message"`
	Hint      string `json:"hint,omitempty"`
}
