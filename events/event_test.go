package events_test

import (
	"testing"
	"time"

	"github.com/schemawave/schemawave/events"
)

// TestRepeats: whether an attempt is told to begin by its Job or by Argo CD, it is told once.
func TestRepeats(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 22, 12, minute, 0, 0, time.UTC) }
	argo := events.Attempt{Application: "argocd/orders", Digest: "sha256:01234567", Evidence: events.EvidenceApplication, Run: "argocd/orders@10", Sync: at(10), Started: at(10)}
	job := events.Attempt{Application: "argocd/orders", Digest: "sha256:0123456789abcdef", Evidence: events.EvidenceJob, Run: "uid", Sync: at(10), Started: at(12)}
	with := func(change func(*events.Attempt)) events.Attempt {
		a := job
		change(&a)
		return a
	}
	for _, c := range []struct {
		name string
		job  events.Attempt
		want bool
		only bool // if Argo CD's word is the last that was told
		over bool // what Argo CD says is of a sync that is over, once the Job is told
	}{
		{"of one sync", job, true, false, false},
		{"of one sync, by clocks that differ", with(func(a *events.Attempt) { a.Started = at(8) }), true, false, false},
		{"of a later sync", with(func(a *events.Attempt) { a.Sync = at(11) }), false, false, true},
		{"of a sync that was mistaken for an earlier one", with(func(a *events.Attempt) { a.Sync = at(5) }), true, true, false},
		{"of an earlier sync", with(func(a *events.Attempt) { a.Sync, a.Started = at(5), at(7) }), false, false, false},
		{"of a sync that nobody knows", with(func(a *events.Attempt) { a.Sync = time.Time{} }), true, true, false},
		{"before that sync", with(func(a *events.Attempt) { a.Sync, a.Started = time.Time{}, at(9) }), false, false, false},
		{"of an Application that nobody knows", with(func(a *events.Attempt) { a.Application = "" }), true, false, false},
		{"of another Application", with(func(a *events.Attempt) { a.Application = "argocd/other" }), false, false, false},
		{"of other migrations", with(func(a *events.Attempt) { a.Digest = "sha256:ff23456789abcdef" }), false, false, false},
		{"by the same evidence", with(func(a *events.Attempt) { a.Evidence = events.EvidenceApplication }), false, false, false},
	} {
		byJob, byArgo := events.Event{Predicate: events.Started, Attempt: &c.job}, events.Event{Predicate: events.Started, Attempt: &argo}
		for _, latest := range []bool{true, false} {
			if got, want := byJob.Repeats(byArgo, latest), c.want && (latest || !c.only); got != want {
				t.Errorf("%s: %t after Argo CD, %t", c.name, got, latest)
			}
			if got := byArgo.Repeats(byJob, latest); got != (c.want || c.over) {
				t.Errorf("%s: %t after the Job, %t", c.name, got, latest)
			}
		}
		byJob.Predicate = events.Succeeded
		if byJob.Repeats(byArgo, true) || byArgo.Repeats(byJob, true) || byArgo.Repeats(events.Event{}, true) {
			t.Errorf("%s: an end is no beginning", c.name)
		}
	}
}
