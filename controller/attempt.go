package controller

import (
	"cmp"
	"strings"
	"time"

	"github.com/schemawave/schemawave/events"
)

// attemptTime is when an attempt ended, or when it began where its end is not known.
func attemptTime(a events.Attempt) time.Time {
	if a.Finished.IsZero() {
		return a.Started
	}
	return a.Finished
}

// compareAttempts orders attempts by their end. Ends are whole seconds of one clock, the cluster's: a Pod's own may be off by
// minutes. Start, version and the name of the run decide between equals, so that the order is always the same.
func compareAttempts(a, b events.Attempt) int {
	return cmp.Or(
		attemptTime(a).Compare(attemptTime(b)),
		a.Started.Compare(b.Started),
		events.CompareVersions(a.Version, b.Version),
		strings.Compare(a.Run, b.Run),
	)
}

// sameAttempt reports whether a verdict tells of the attempt that is already published, perhaps by other evidence: that
// of the Job then, of the Application now that the Job is gone.
func sameAttempt(published events.Attempt, v verdict) bool {
	if published.Run == v.Attempt.Run && sameDigest(published.Digest, v.Attempt.Digest) {
		return true // two syncs may begin in the same second
	}
	if known := published.Application != "" && v.Attempt.Application != ""; known && published.Application != v.Attempt.Application || !sameDigest(published.Digest, v.Attempt.Digest) {
		return false
	}
	byArgo, toldByArgo := v.Attempt.Evidence == events.EvidenceApplication, published.Evidence == events.EvidenceApplication
	switch {
	case toldByArgo && byArgo:
		return v.Plain && v.Kind == failed && published.Failure != nil && *published.Failure == *v.Attempt.Failure
	case toldByArgo:
		return ranWithin(published, v)
	case !byArgo:
		return false
	case published.Sync.Equal(v.Attempt.Sync):
		return true
	}
	ended := attemptTime(published)
	return !ended.Before(v.Window.From) && (v.Window.To.IsZero() || !ended.After(v.Window.To))
}

// ranWithin reports whether a Job that can be read only now, its cluster being back, ended within the operation of which Argo CD's word
// was published. Where no end was known then, for the operation went on, a result is told once all the same. A failure is then one of before
// the success, unless its Job is still there.
func ranWithin(published events.Attempt, v verdict) bool {
	ended, sync := attemptTime(v.Attempt), v.Attempt.Sync
	within := sync.Equal(published.Started) || sync.Before(published.Started) && !ended.Before(published.Started)
	if published.Finished.IsZero() {
		before := v.Kind == failed && v.Gone && sync.Equal(published.Started)
		return within && (before || v.Kind != running && v.Attempt.Outcome == published.Outcome)
	}
	return within && !ended.After(published.Finished)
}
