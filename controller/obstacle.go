package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/schemawave/schemawave/events"
)

// obstacleOf begins a verdict on a migration that has a marker and no Job, where o is the last operation.
func obstacleOf(a application, o operation, m marker) verdict {
	return verdict{
		Attempt: events.Attempt{
			Version: string(m.Name.Version), Digest: "sha256:" + m.Name.Digest8, Application: a.Key.String(),
			Evidence: events.EvidenceApplication, Run: run(a.Key.String(), o.Started),
		},
		Guessed: a.Readable && !a.Named, Window: deployment{From: o.Started},
	}
}

// run names an operation of an Application, by the time when it began. Argo CD itself does not.
func run(application string, began time.Time) string {
	return application + "@" + began.Format(time.RFC3339)
}

func (v verdict) obstructedBy(p events.Predicate, since time.Time) verdict {
	v.Kind, v.By, v.Since = obstructed, p, since
	return v
}

// outstanding reports whether an obstructed migration is still to be run, and if that is in doubt, why. A marker that is put back, of
// a schema that is ready, skips nothing, and neither does a rollback to an older one. Whether an older image or tool ever ran nobody
// knows, so of skipped ones only a partial sync counts, which Argo CD makes of the newest commit.
func outstanding(s events.State, v verdict) (doubt string, is bool) {
	r := s.Ready
	unknown := r == nil && s.LastAttempt == nil
	switch {
	case unknown && v.By == events.Skipped:
		return "its marker was applied by a sync without hooks, but whether its schema was there before is not known", false
	case unknown && v.Guessed:
		return fmt.Sprintf("it is %s, but whether its environment is called like its namespace only its first Job tells; "+
			"annotate the Application with %s", v.By, AnnotationEnvironment), false
	case r == nil:
		return "", true
	case sameDigest(r.Digest, v.Attempt.Digest):
		return "", false
	case v.Attempt.Version == "":
		return "", v.By != events.Skipped || v.Partial
	}
	return "", events.CompareVersions(v.Attempt.Version, r.Version) >= 0
}

// past reports whether a result has come since. Then the obstacle was told before it, or is of no use to anybody.
func (v verdict) past(published events.State) bool {
	last := published.LastAttempt
	return last != nil && (last.Started.After(v.Since) || attemptTime(*last).After(v.Since))
}

// neverBegun reports whether the obstacle came before the migration's Job.
func (v verdict) neverBegun() bool {
	return v.By == events.Unattempted || v.By == events.Blocked || v.By == events.Stuck
}

// begun reports whether the migration was begun all the same: in an earlier try of the same operation, whose results Argo CD has
// thrown away since, or after the obstacle.
func (v verdict) begun(s events.State, all []verdict) bool {
	return v.met(s, all, func(a events.Attempt) bool {
		return !a.Started.Before(v.Since) || sameDigest(a.Digest, v.Attempt.Digest) && !a.Started.Before(v.Window.From)
	})
}

// overtaken reports whether another attempt, at whatever version, began after the obstacle, even one that came to nothing.
func (v verdict) overtaken(s events.State, all []verdict) bool {
	return v.met(s, all, func(a events.Attempt) bool { return !a.Started.Before(v.Since) }) ||
		slices.ContainsFunc(all, func(w verdict) bool {
			return w.Kind == obstructed && (w.By == events.Terminated || w.By == events.Deleted) && w.Attempt.Started.After(v.Since)
		})
}

// met reports whether any attempt that is known is like this.
func (v verdict) met(s events.State, all []verdict, like func(events.Attempt) bool) bool {
	return s.LastAttempt != nil && like(*s.LastAttempt) || slices.ContainsFunc(all, func(w verdict) bool {
		return (w.Kind == running || w.Kind == succeeded || w.Kind == failed) && like(w.Attempt)
	})
}

// obstruct tells of an obstacle. It stands in the state until an attempt is begun or another obstacle takes its place, unless it was
// overtaken before it was told.
func obstruct(s events.State, all []verdict, v verdict) publication {
	e := newEvent(s, v.By, v.Attempt, v.Since, v.hindrance(s))
	p := publication{Event: e, Absent: v.Absent}
	a := v.Attempt
	next := events.Obstacle{
		Kind: v.By, Version: a.Version, Digest: a.Digest, Revision: a.Revision, DryRevision: a.DryRevision, Application: a.Application, Run: a.Run,
		Since: v.Since, Reason: e.Reason,
	}
	if old := s.Obstacle; !v.overtaken(s, all) && (old == nil || !sameObstacle(*old, next) && compareObstacles(next, *old) > 0) {
		s.Obstacle = &next
		p.State = &s
	}
	return p
}

// behind reports whether an obstacle of the same kind that came later stands in the state already: then this one comes too late to be
// told in order.
func behind(standing *events.Obstacle, e events.Event) bool {
	if standing == nil || standing.Kind != e.Predicate {
		return false
	}
	this := events.Obstacle{Kind: e.Predicate, Version: e.Attempt.Version, Digest: e.Attempt.Digest, Run: e.Attempt.Run, Since: e.Time}
	return compareObstacles(this, *standing) < 0 && (this.Run == standing.Run || this.Since.Before(standing.Since)) && !sameObstacle(this, *standing)
}

// sameObstacle reports whether two tell the same, however often Argo CD has said it anew.
func sameObstacle(a, b events.Obstacle) bool {
	return a.Kind == b.Kind && a.Run == b.Run && a.Digest == b.Digest && a.Version == b.Version
}

// compareObstacles orders obstacles by their time, and those of one second in a way that is always the same.
func compareObstacles(a, b events.Obstacle) int {
	return cmp.Or(a.Since.Compare(b.Since), strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Run, b.Run),
		events.CompareVersions(a.Version, b.Version), strings.Compare(a.Digest, b.Digest))
}

// remaining is what is still in the way after an attempt: nothing, if that began after the obstacle, or made ready what it kept back.
func remaining(old *events.Obstacle, ready *events.Ready, a events.Attempt) *events.Obstacle {
	if old == nil || !a.Started.Before(old.Since) || ready != nil && sameDigest(ready.Digest, old.Digest) {
		return nil
	}
	return old
}

// unanswered is in Argo CD's message on a Job of which it could not ask the API server what it is (net/url: Error). It asks that again while a
// hook runs, and overwrites what it knew of the hook (gitops-engine, pkg/sync: getSyncTasks).
const unanswered = `Get "https://`

// hindrance says to a person what is in the way and what to do.
func (v verdict) hindrance(s events.State) string {
	a := v.Attempt
	migration := migrationOf(s, a)
	whole := "sync the whole application " + a.Application
	switch v.By {
	case events.Terminated:
		return fmt.Sprintf("%s was ended, for its sync was terminated; what it had committed stays, and the next run goes on there; %s", migration, whole)
	case events.Deleted:
		return fmt.Sprintf("the Job of %s was deleted before its result was seen, and Argo CD goes on waiting for it; "+
			"terminate the operation of %s, then sync the whole application", migration, a.Application)
	case events.Unattempted:
		if strings.Contains(v.Why, unanswered) {
			return fmt.Sprintf("whether %s was begun is not known, for its cluster did not answer Argo CD during the sync of %s: %s; "+
				"once it does, see whether its Job is there, then sync again", migration, a.Application, brief(v.Why))
		}
		return fmt.Sprintf("%s was not begun, for the sync of %s failed before it: %s; mend that, then sync again", migration, a.Application, brief(v.Why))
	case events.Blocked:
		return fmt.Sprintf("%s is held back: %s; wait until that lets it through, or %s", migration, brief(v.Why), whole)
	case events.Stuck:
		return fmt.Sprintf("%s is not begun: Argo CD takes the commit for one that it has tried, and will not sync it by itself; %s", migration, whole)
	}
	return fmt.Sprintf("%s was left out by a sync that runs no hooks; %s", migration, whole)
}

// brief is the first line of a message, at most 400 bytes of it.
func brief(message string) string {
	const limit = 400
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	switch {
	case line == "":
		return "no reason is known"
	case len(line) > limit:
		return strings.ToValidUTF8(line[:limit-len("…")], "") + "…"
	}
	return line
}
