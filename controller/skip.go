package controller

import (
	"slices"
	"time"

	"github.com/schemawave/schemawave/events"
)

// skipsHooks reports whether Argo CD runs no hooks in an operation (argo-cd, controller/sync.go: SyncStrategy.Apply, or resources
// that are named).
func (o operation) skipsHooks() bool { return o.Partial || o.Applied }

// judgeMarker says that a migration was skipped: an operation without hooks has put its marker into the cluster, and with it
// whatever else its commit changed, or has failed at its guard. Where the Job is a plain resource of the same operation, it ran.
func judgeMarker(a application, o operation, m marker) verdict {
	v := verdict{Attempt: events.Attempt{
		Version: string(m.Name.Version), Digest: "sha256:" + m.Name.Digest8, Revision: o.Revision, Application: a.Key.String(),
		Evidence: events.EvidenceApplication, Run: a.Key.String() + "@" + o.Started.Format(time.RFC3339),
		Started: o.Started, Finished: o.Finished,
	}, Partial: o.Partial}
	ran := slices.ContainsFunc(o.Results, func(r result) bool { return r.Name.Matches(v.Attempt.Digest) && r.Name.Database == m.Name.Database })
	if !o.skipsHooks() || o.running() || ran {
		return v.silenced("")
	}
	v.Kind = skipped
	return v
}

// outstanding reports whether a migration that was skipped is still to be run, and if that is in doubt, why. A marker that is put
// back, of a schema that is ready, skips nothing, and neither does a rollback to an older one. Whether an older image or tool ever ran
// nobody knows, so of those only a partial sync counts, which Argo CD makes of the newest commit.
func outstanding(s events.State, v verdict) (doubt string, is bool) {
	r := s.Ready
	switch {
	case r == nil && s.LastAttempt == nil:
		return "its marker was applied by a sync without hooks, but whether its schema was there before is not known", false
	case r == nil:
		return "", true
	case sameDigest(r.Digest, v.Attempt.Digest):
		return "", false
	case v.Attempt.Version == "":
		return "", v.Partial
	}
	return "", events.CompareVersions(v.Attempt.Version, r.Version) >= 0
}
