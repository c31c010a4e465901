package controller

import (
	"slices"
	"strings"

	"github.com/schemawave/schemawave/events"
)

// What Argo CD writes where it does not go on (argo-cd, controller/sync.go, controller/appcontroller.go: autoSync, util/argo:
// SetAppOperation). From 3.0 on it says "Failed last sync attempt to" and names the commit that failed, which it says as well while that
// is the one to sync: that it has passed over a newer one then only shows by time.
const (
	heldByWindow = "Sync operation blocked by sync window"
	tried        = "Failed sync attempt to "
	refused      = "error updating application "
)

// judgeWanted says why a migration that an Application's commit carries, and its cluster does not, was never begun. Nothing is
// said while a sync may still begin it.
func judgeWanted(a application, m marker) verdict {
	o, any := a.last()
	v := obstacleOf(a, o, m)
	v.Attempt.Revision = a.Compared
	switch {
	case any && o.began(m):
	case a.Asked || o.running():
		if o.running() && strings.HasPrefix(o.Message, heldByWindow) {
			v.Why = o.Message
			return v.obstructedBy(events.Blocked, o.Started)
		}
	case o.Failed && o.Revision == a.Compared:
		v.Attempt.Started, v.Attempt.Finished, v.Why = o.Started, o.Finished, o.reason(m)
		return v.obstructedBy(events.Unattempted, o.Finished)
	case strings.HasPrefix(a.Refusal.Message, refused):
		v.Why = a.Refusal.Message
		return v.obstructedBy(events.Blocked, a.Refusal.Since)
	case o.Revision != a.Compared && strings.HasPrefix(a.Refusal.Message, tried+a.named()+":"):
		return v.obstructedBy(events.Stuck, a.Refusal.Since)
	case !a.Stalled.IsZero() && a.Shut:
		v.Why = "a sync window is closed"
		return v.obstructedBy(events.Blocked, a.Stalled)
	case !a.Stalled.IsZero() && any:
		return v.obstructedBy(events.Stuck, a.Stalled)
	}
	return v.silenced("")
}

// named is how Argo CD names the revision that an Application was compared with where it refuses to sync it: not at all, if there are
// several sources. What it said of another revision may be left over, for it says nothing while a sync window is closed.
func (a application) named() string {
	if strings.Contains(a.Compared, ",") {
		return ""
	}
	return a.Compared
}

// began reports whether an operation has made the Job that a marker goes with.
func (o operation) began(m marker) bool {
	return slices.ContainsFunc(o.Results, func(r result) bool { return r.is(m) && (r.Status == "" || r.Status == "Synced") })
}

// reason says why an operation failed before it began a migration: the API server refused its Job, another one failed before it,
// or what Argo CD says of the whole.
func (o operation) reason(m marker) string {
	for _, r := range o.Results {
		if r.is(m) && r.Message != "" {
			return r.Message
		}
	}
	for _, r := range o.Results {
		if r.Phase == "Failed" {
			return "the Job " + r.Key.Name + " failed before it"
		}
	}
	return o.Message
}

// is reports whether a result is of the Job that a marker goes with.
func (r result) is(m marker) bool {
	return r.Name.Database == m.Name.Database && r.Name.Digest8 == m.Name.Digest8
}
