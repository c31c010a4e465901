package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/schemawave/schemawave/events"
)

// decision is what one pass has to do, in this order. It is empty if nothing changed.
type decision struct {
	Publications []publication
	Collect      []job    // finished Jobs that nothing rests on any more, once all publications are acknowledged
	Doubts       []string // why something that looks like a result is not said, for the log
	Skipped      *verdict // the newest sync that went by without the migration it carries, if nothing has succeeded since
	Taken        *verdict // the newest of an Application whose database's name belongs to another one
	Unversioned  *verdict // the newest attempt, if it succeeded, but nobody knows at which version, so it makes nothing ready
}

// publication is one fact: the state it leads to, if it changes that, and the event that tells it. Publishing it again
// changes nothing.
type publication struct {
	State  *events.State
	Event  events.Event
	Absent *absence // the Job that must not exist for this to be said
}

// held reports whether the state tells the event to whoever comes after. One that it does not is told before it, so that it cannot be lost.
func (p publication) held() bool {
	return slices.ContainsFunc(held(*p.State), func(e events.Event) bool { return e.ID == p.Event.ID })
}

// decide says what is to be published of a database, oldest first. It is pure: the same observation gives the same
// decision, and observing again once it is carried out gives one that changes nothing.
func decide(o observation) decision {
	var d decision
	state := o.State
	state.Environment, state.Database = o.Target.Environment, o.Target.Database
	o.Applications = slices.Clone(o.Applications)
	slices.SortStableFunc(o.Applications, func(a, b application) int { // a Job that both list is the owner's
		return int(truth(b.Key.String() == ownerOf(state)) - truth(a.Key.String() == ownerOf(state)))
	})
	all := judge(o)
	for _, v := range all {
		if why := o.taken(state, v); why != "" && v.Kind != silent {
			d.doubt(o.Target, v, why)
			if v.Why = why; !v.Guessed {
				d.Taken = &v
			}
			continue
		}
		v = v.recall(state.Ready)
		switch {
		case v.Kind == silent:
			if v.Why != "" {
				d.doubt(o.Target, v, v.Why)
			}
		case v.Kind == obstructed:
			why, is := outstanding(state, v)
			if why != "" {
				d.doubt(o.Target, v, why)
			}
			if !is || v.past(o.State) || v.neverBegun() && v.begun(state, all) {
				continue
			}
			// once, although it may be both captured and still there
			if p := obstruct(state, all, v); (p.State != nil || !d.tells(p)) && !behind(state.Obstacle, p.Event) {
				d.add(p, &state)
			}
		case v.unversioned():
			if last := state.LastAttempt; last == nil || !sameAttempt(*last, v) && compareAttempts(v.Attempt, *last) > 0 {
				d.doubt(o.Target, v, v.whyUnversioned())
				d.Unversioned = &v
			}
		case v.Kind == running:
			if begins(state, v) {
				d.add(start(state, v), &state)
			}
		default:
			d.Unversioned = nil // this attempt is newer than those before it
			next := advance
			if v.outrun(state.LastAttempt, all) {
				next = late
			}
			if p, ok := next(state, v); ok {
				d.add(p, &state)
			}
		}
	}
	d.Collect = superseded(o)
	return d
}

// add has a fact published after those before it, and carries the state on.
func (d *decision) add(p publication, state *events.State) {
	if p.State != nil {
		*state = *p.State
	}
	d.Publications = append(d.Publications, p)
}

func (d *decision) tells(p publication) bool {
	return slices.ContainsFunc(d.Publications, func(q publication) bool { return q.Event.ID == p.Event.ID })
}

func (d *decision) doubt(t target, v verdict, why string) {
	name := t.String()
	if v.Attempt.Version != "" {
		name += "@" + v.Attempt.Version
	}
	d.Doubts = append(d.Doubts, fmt.Sprintf("%s, run %s: %s", name, v.Attempt.Run, why))
}

// judge lets everything speak that can, results first, oldest first, then what still runs.
func judge(o observation) []verdict {
	var all []verdict
	for _, j := range o.Jobs {
		all = append(all, judgeJob(j, o))
	}
	for _, a := range o.Applications {
		for _, op := range a.Operations {
			for _, r := range op.Results {
				if t, ok := a.targetOf(r.Key, r.Name); ok && t == o.Target && !r.HasJob {
					all = append(all, judgeResult(a, op, r))
				}
			}
			for _, m := range op.Markers {
				if t, ok := a.targetOf(m.Key, m.Name); ok && t == o.Target {
					all = append(all, judgeMarker(a, op, m))
				}
			}
		}
		for _, m := range a.Wanted {
			if t, ok := a.targetOf(m.Key, m.Name); ok && t == o.Target {
				all = append(all, judgeWanted(a, m))
			}
		}
	}
	for i := range all {
		all[i].Attempt.DryRevision = o.dry(all[i].Attempt)
	}
	for i, v := range all {
		all[i].Order = v.after(all)
	}
	slices.SortStableFunc(all, func(a, b verdict) int {
		late := func(v verdict) int { return int(truth(v.Kind == running)) }
		last := func(v verdict) int { return int(truth(v.Kind == obstructed)) }
		return cmp.Or(late(a)-late(b), a.Order.Compare(b.Order), last(a)-last(b), compareAttempts(a.Attempt, b.Attempt), int(a.Kind)-int(b.Kind),
			strings.Compare(string(a.By), string(b.By)))
	})
	return all
}

// begins reports whether a running attempt is news: a Job that runs for a schema that is ready, or for an older one, is
// not, because every full sync runs its Job. Of a Job whose version nobody knows, its digest tells.
func begins(s events.State, v verdict) bool {
	if s.LastAttempt != nil && (sameAttempt(*s.LastAttempt, v) || v.Attempt.Started.Before(s.LastAttempt.Started)) {
		return false
	}
	if o := s.Obstacle; o != nil && o.Run == v.Attempt.Run && sameDigest(o.Digest, v.Attempt.Digest) {
		return false // Argo CD goes on waiting for a Job that was seen to be gone
	}
	if s.Ready == nil || v.Attempt.Version == "" {
		return true
	}
	order := events.CompareVersions(v.Attempt.Version, s.Ready.Version)
	return order > 0 || order == 0 && !sameDigest(s.Ready.Digest, v.Attempt.Digest)
}

// start tells of a running attempt, and that it has got over what was in the way before.
func start(s events.State, v verdict) publication {
	p := publication{Event: tell(s, events.Started, v.Attempt), Absent: v.Absent}
	if next := s; s.Obstacle != nil && remaining(s.Obstacle, nil, v.Attempt) == nil {
		next.Obstacle = nil
		p.State = &next
	}
	return p
}

// advance says what a finished attempt adds to a state. It reports false if that is nothing.
func advance(s events.State, v verdict) (publication, bool) {
	predicate := events.Succeeded
	if v.Kind == failed {
		predicate = events.Failed
	}
	if last := s.LastAttempt; last != nil {
		if e := s.LateAttempt; e != nil && v.Kind == succeeded && sameAttempt(*e, v) {
			return publication{}, false // the state holds it
		}
		if sameAttempt(*last, v) {
			if last.Run == v.Attempt.Run && last.Outcome == v.Attempt.Outcome {
				// The state holds it; the event may not be out.
				return publication{Event: tell(s, predicate, *last), Absent: v.Absent}, true
			}
			if last.Outcome == events.OutcomeSucceeded || v.Kind == failed {
				return publication{}, false
			}
			if v.at().Before(attemptTime(*last)) { // the failure came after it, in another try or in a later sync
				return late(s, v)
			}
		} else if compareAttempts(v.Attempt, *last) <= 0 {
			return late(s, v)
		}
	}
	next := s
	next.LastAttempt, next.LateAttempt = &v.Attempt, nil
	if v.Kind == succeeded {
		next.Ready = improve(s.Ready, v)
	}
	next.Obstacle = remaining(s.Obstacle, next.Ready, v.Attempt)
	if v.Kind == succeeded {
		same := next.Ready == s.Ready && next.Obstacle == s.Obstacle && s.LastAttempt != nil && s.LastAttempt.Outcome == events.OutcomeSucceeded
		if same && !mayHaveBegun(s, v) {
			return publication{}, false // the migration ran once more and found everything in place
		}
	}
	return publication{State: &next, Event: tell(next, predicate, v.Attempt), Absent: v.Absent}, true
}

// mayHaveBegun reports whether an attempt that has changed nothing may have been told to begin all the same: nobody knew its version
// then, or what is ready has become so only while it ran.
func mayHaveBegun(s events.State, v verdict) bool {
	before := v
	if v.Unnamed {
		before.Attempt.Version = ""
	}
	return s.Ready != nil && (s.Ready.Since.After(v.Attempt.Started) || begins(s, before.recall(s.Ready)))
}

// late says what a success adds that became known only after a newer attempt had ended: that newer one stays the last, but what was ready
// before it still is, unless a report that came later has found less.
func late(s events.State, v verdict) (publication, bool) {
	r := s.Ready
	if v.Kind != succeeded || r != nil && (events.CompareVersions(r.Version, v.Ready.Version) >= 0 ||
		r.Evidence == events.EvidenceReport && !v.Ready.Since.After(r.Since)) {
		return publication{}, false
	}
	if r != nil && r.Evidence == events.EvidenceApplication && sameDigest(r.Digest, v.Ready.Digest) && !v.at().After(r.Since) {
		return publication{}, false // Argo CD told of it
	}
	next := s
	next.Ready, next.LateAttempt = improve(r, v), &v.Attempt
	next.Obstacle = remaining(s.Obstacle, next.Ready, v.Attempt)
	return publication{State: &next, Event: tell(next, events.Succeeded, v.Attempt), Absent: v.Absent}, true
}

// improve returns what is ready after a success: old itself if that says it all already.
//
// Only a report knows what the ledger holds. A Job, or Argo CD, knows what it was meant to hold at least: after a rollback
// to an older overlay the newer schema is still there, so on their word a version never goes down.
func improve(old *events.Ready, v verdict) *events.Ready {
	if old == nil {
		return v.Ready
	}
	next := *v.Ready
	order := events.CompareVersions(next.Version, old.Version)
	if next.MinCompatible == "" && order >= 0 {
		next.MinCompatible = old.MinCompatible // not said anew: a reader that was too old still is
	}
	if sameDigest(next.Digest, old.Digest) && len(next.Digest) < len(old.Digest) {
		next.Digest = old.Digest
	}
	switch {
	case order < 0 && next.Evidence != events.EvidenceReport:
		return old
	case order == 0 && events.CompareVersions(v.Attempt.Version, next.Version) < 0:
		return old // an older migration set found the newer schema in place
	case order == 0 && sameDigest(next.Digest, old.Digest) && next.MinCompatible == old.MinCompatible:
		return old
	}
	return &next
}

// tell makes the event of an attempt.
func tell(s events.State, p events.Predicate, a events.Attempt) events.Event {
	at := attemptTime(a)
	if p == events.Started {
		at = a.Started
	}
	return newEvent(s, p, a, at, reason(s, p, a))
}

// held are the events that a state itself still tells.
func held(s events.State) []events.Event {
	var out []events.Event
	if a := s.LateAttempt; a != nil {
		out = append(out, tell(s, events.Succeeded, *a))
	}
	if a := s.LastAttempt; a != nil && a.Outcome == events.OutcomeSucceeded {
		out = append(out, tell(s, events.Succeeded, *a))
	} else if a != nil {
		out = append(out, tell(s, events.Failed, *a))
	}
	if o := s.Obstacle; o != nil {
		a := events.Attempt{
			Version: o.Version, Digest: o.Digest, Revision: o.Revision, DryRevision: o.DryRevision, Application: o.Application,
			Evidence: events.EvidenceApplication, Run: o.Run,
		}
		out = append(out, newEvent(s, o.Kind, a, o.Since, o.Reason))
	}
	return out
}

// newEvent makes the event of one fact; its id is made from that alone.
func newEvent(s events.State, p events.Predicate, a events.Attempt, at time.Time, reason string) events.Event {
	e := events.Event{
		Predicate: p, Time: at, Environment: s.Environment, Database: s.Database, Attempt: &a, Ready: s.Ready, Reason: reason,
	}
	e.ID = events.EventID(e)
	return e
}

// migrationOf names what was tried.
func migrationOf(s events.State, a events.Attempt) string {
	migration := "the migration of " + s.Environment + "/" + s.Database
	if a.Version != "" {
		migration += " to " + a.Version
	}
	return migration
}

// reason says it to a person.
func reason(s events.State, p events.Predicate, a events.Attempt) string {
	name, migration := s.Environment+"/"+s.Database, migrationOf(s, a)
	switch p {
	case events.Started:
		return migration + " runs"
	case events.Failed:
		why := "no reason is known"
		if a.Failure != nil {
			why = a.Failure.String()
		}
		return fmt.Sprintf("%s failed: %s", migration, why)
	}
	if len(a.Applied) > 0 {
		return fmt.Sprintf("%s is at %s; this run applied %s", name, s.Ready.Version, strings.Join(a.Applied, ", "))
	}
	return fmt.Sprintf("%s is at %s", name, s.Ready.Version)
}
