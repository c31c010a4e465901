package controller

import (
	"slices"
	"time"

	"github.com/schemawave/schemawave/events"
)

// origin finds the Application that applied a Job, the revision, and when that sync began. The Job of a sync that was seen to be gone, or to
// end, is not one that was made later, which is of a sync that is still to be seen.
func (o observation) origin(j job) (name, revision string, sync time.Time) {
	name, revision, sync = j.origin(o.Applications)
	s := o.State.Obstacle
	if s == nil || s.Run != run(name, sync) || !sameDigest(s.Digest, j.Digest) {
		return name, revision, sync
	}
	if s.Kind == events.Deleted || s.Kind == events.Terminated && !j.Created.Before(s.Since) {
		return name, "", time.Time{}
	}
	return name, revision, sync
}

// origin finds the Application that applied the Job, the revision it was applied at, and when that sync began. An Application that lists the
// Job is surer than the name the Job bears; an operation within which the Job was made is surer than the history.
func (j job) origin(apps []application) (name, revision string, sync time.Time) {
	var a *application
	for i := range apps {
		if apps[i].lists(j) {
			a = &apps[i]
			break
		}
		if apps[i].Cluster == j.Cluster && a == nil && (j.Instance == apps[i].Key.Name || j.Instance == apps[i].Key.Namespace+"_"+apps[i].Key.Name) {
			a = &apps[i]
		}
	}
	if a == nil {
		return "", "", time.Time{}
	}
	for _, o := range a.Operations {
		if within := !j.Created.Before(o.Started) && (o.Finished.IsZero() || !j.Created.After(o.Finished)); within &&
			(o.lists(j) || o.running() && a.Compared == o.Revision && a.holds(j)) && o.Revision != "" {
			return a.Key.String(), o.Revision, o.Started
		}
	}
	for _, h := range a.History {
		if !j.Created.Before(h.From) && !j.Created.After(h.To) {
			return a.Key.String(), h.Revision, h.From
		}
	}
	return a.Key.String(), "", time.Time{}
}

// dry is the commit from which the one that was synced was hydrated; empty if none was, or if that was not seen.
func (o observation) dry(at events.Attempt) string {
	for _, a := range o.Applications {
		for _, h := range a.Hydrations {
			if a.Key.String() == at.Application && h.Commit == at.Revision {
				return h.From
			}
		}
	}
	return ""
}

func (a application) lists(j job) bool {
	return a.Cluster == j.Cluster && slices.ContainsFunc(a.Operations, func(o operation) bool { return o.lists(j) })
}

// holds reports whether the commit that an Application was last compared with holds the marker or the guard of a Job.
func (a application) holds(j job) bool {
	n, ok := migrationName(j.Key.Name)
	return ok && slices.ContainsFunc(a.Held, func(m marker) bool { return m.Name.Database == n.Database && m.Name.Digest8 == n.Digest8 })
}

func (o operation) lists(j job) bool {
	return slices.ContainsFunc(o.Results, func(r result) bool { return r.Key == j.Key })
}
