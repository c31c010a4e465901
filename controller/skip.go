package controller

import (
	"slices"

	"github.com/schemawave/schemawave/events"
)

// skipsHooks reports whether Argo CD runs no hooks in an operation (argo-cd, controller/sync.go: SyncStrategy.Apply, or resources
// that are named).
func (o operation) skipsHooks() bool { return o.Partial || o.Applied }

// judgeMarker says that a migration was skipped: an operation without hooks has put its marker into the cluster, and with it
// whatever else its commit changed, or has failed at its guard. Where the Job is a plain resource of the same operation, it ran.
func judgeMarker(a application, o operation, m marker) verdict {
	v := obstacleOf(a, o, m)
	v.Attempt.Revision, v.Attempt.Started, v.Attempt.Finished, v.Partial = o.Revision, o.Started, o.Finished, o.Partial
	ran := slices.ContainsFunc(o.Results, func(r result) bool { return r.is(m) })
	if !o.skipsHooks() || o.running() || ran {
		return v.silenced("")
	}
	return v.obstructedBy(events.Skipped, v.at())
}
