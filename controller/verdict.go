package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/migrations"
)

// verdict is what one Job, or one result of one operation, says about the schema.
type verdict struct {
	Kind    verdictKind
	Attempt events.Attempt
	Ready   *events.Ready    // if it succeeded: what is ready by this evidence alone
	By      events.Predicate // if it is obstructed: what by
	Since   time.Time        // if it is obstructed: since when
	Why     string           // if nothing is said: the reason, for the log; if it is obstructed, in Argo CD's words, where it said any
	Hint    string           // if it succeeded at no version: how to get one, as its report says
	// Absent is the Job whose absence the verdict rests on: Argo CD is believed only where the Job cannot speak.
	Absent  *absence
	Partial bool // of a skipped one: only a part of the Application was synced
	Guessed bool // of an obstructed one: its environment is told by the namespace alone, although Jobs could be read
	Unnamed bool // its Job does not know its version: only a report tells it, when it ends
	Plain   bool // Argo CD's word on a plain Job, which may repeat what it said of an earlier sync
	// Window is the time within which the attempt ran, by Argo CD's clock; zero where the Job itself is known.
	Window deployment
	Gone   bool      // its Job is no longer there
	Order  time.Time // where it stands among the others: see after
}

// absence is that of the Job of one operation. One that was made when the next operation had begun is another, even under the same name.
type absence struct {
	Cluster string
	Key     types.NamespacedName
	Next    time.Time // zero if no later operation is known
	Than    types.UID // a Job of that name that has failed, where another one is said to have succeeded; empty if there is none
}

type verdictKind int

const (
	silent verdictKind = iota // nothing is proven, or not yet
	running
	succeeded
	failed
	obstructed
)

// reached is the message of the condition Complete on a Job that has no success policy (Kubernetes 1.31 and later,
// pkg/controller/job), which Argo CD passes on. A result that "Succeeded" with any other message is no proof: that of a
// hook whose operation was terminated says "Deleted", those of plain Jobs "pruned" and "ignored (requires pruning)".
const reached = "Reached expected number of succeeded pods"

// What Argo CD says of a hook that ran when its operation was terminated, up to 3.2 and from 3.3 on. It calls the former
// "Succeeded" (gitops-engine, pkg/sync: syncContext.Terminate).
const (
	deleted    = "Deleted"
	terminated = "Terminated"
)

// judgeJob lets a Job and the report of its Pods speak.
func judgeJob(j job, o observation) verdict {
	v := verdict{Attempt: events.Attempt{
		Version: string(j.Version), Digest: j.Digest, Evidence: events.EvidenceJob,
		Run: string(j.UID), Started: j.Started, Finished: j.Ended,
	}, Unnamed: j.Version == "", Gone: j.Gone}
	v.Attempt.Application, v.Attempt.Revision, v.Attempt.Sync = o.origin(j)
	if why := j.contradiction(o.Target); why != "" {
		return v.silenced(why)
	}
	if o.followed(j) {
		j.Pods = slices.DeleteFunc(slices.Clone(j.Pods), func(p pod) bool { return !p.Ended })
	}
	switch j.Phase {
	case jobRunning:
		if j.Deleting || j.Gone {
			return v.silenced("the Job is being deleted before it has finished")
		}
		v.Kind = running
		return v
	case jobComplete:
		return v.complete(j)
	case jobFailed:
		return v.fail(j)
	}
	return v.silenced("")
}

// followed reports whether a Job has ended after this one. Results are told in order, so what is still to come of the earlier one's
// Pods is not waited for.
func (o observation) followed(j job) bool {
	return slices.ContainsFunc(o.Jobs, func(k job) bool { return j.finished() && k.finished() && k.Ended.After(j.Ended) })
}

// contradiction says in what the Job, its name and its Pods' report disagree about what was to be done; empty if they agree.
func (j job) contradiction(t target) string {
	name, ok := migrationName(j.Key.Name)
	switch {
	case !ok:
		return "the Job's name is not that of a migration"
	case j.Digest == "" || j.Version == "" && name.Version != "":
		return "the Job lacks the annotations of its version and digest"
	case !name.Matches(j.Digest):
		return fmt.Sprintf("the Job's name holds digest %s, its annotation %s", name.Digest8, j.Digest)
	}
	r := j.report()
	switch {
	case r == nil:
		return ""
	case r.Database != t.Database || r.Environment != t.Environment:
		return fmt.Sprintf("its Pod reports about %s/%s", r.Environment, r.Database)
	case r.Digest != "" && r.Digest != j.Digest:
		return fmt.Sprintf("its Pod reports about digest %s, the Job carries %s", r.Digest, j.Digest)
	}
	return ""
}

func (v verdict) silenced(why string) verdict {
	v.Kind, v.Ready, v.Why = silent, nil, why
	return v
}

// complete judges a Job whose condition is Complete.
func (v verdict) complete(j job) verdict {
	v.Attempt.Outcome = events.OutcomeSucceeded
	v.Ready = &events.Ready{
		Version: string(j.Version), Digest: j.Digest, MinCompatible: string(j.MinCompatible),
		Revision: v.Attempt.Revision, Application: v.Attempt.Application, Evidence: events.EvidenceJob, Since: j.Ended,
	}
	v.Kind = succeeded
	r := j.report()
	if r == nil {
		if j.awaitsPods() {
			return v.silenced("the report of its Pod has not arrived yet")
		}
		return v
	}
	switch r.Outcome {
	case migrations.OutcomeSucceeded, migrations.OutcomeCurrent, migrations.OutcomeAhead:
	default:
		return v.silenced(fmt.Sprintf("the Job is complete, but its Pod reports outcome %q", r.Outcome))
	}
	v.Attempt.Evidence, v.Ready.Evidence = events.EvidenceReport, events.EvidenceReport
	if v.Attempt.Version == "" {
		v.Attempt.Version = cmp.Or(string(r.Target), string(r.To))
	}
	for _, a := range r.Applied {
		v.Attempt.Applied = append(v.Attempt.Applied, string(a))
	}
	if r.Tool != nil {
		v.Hint = r.Tool.Hint
	}
	if r.To != "" {
		v.Ready.Version = string(r.To)
	}
	if r.MinCompatible != "" {
		v.Ready.MinCompatible = string(r.MinCompatible)
	}
	if !r.Finished.IsZero() {
		v.Ready.Since = r.Finished.UTC()
	}
	return v
}

// fail judges a Job whose condition is Failed.
func (v verdict) fail(j job) verdict {
	v.Attempt.Outcome = events.OutcomeFailed
	v.Kind = failed
	r := j.report()
	if r == nil && j.awaitsPods() {
		return v.silenced("the report of its Pod has not arrived yet")
	}
	if r != nil && r.Failure != nil {
		v.Attempt.Evidence = events.EvidenceReport
		if v.Attempt.Version == "" {
			v.Attempt.Version = string(r.Target)
		}
		for _, a := range r.Applied {
			v.Attempt.Applied = append(v.Attempt.Applied, string(a))
		}
	}
	f := jobFailure(j, r)
	v.Attempt.Failure = &f
	return v
}

// judgeResult lets Argo CD speak for a Job that cannot be read.
func judgeResult(a application, o operation, r result) verdict {
	v := verdict{
		Attempt: events.Attempt{
			Version: string(r.Name.Version), Digest: "sha256:" + r.Name.Digest8, Revision: o.Revision, Application: a.Key.String(),
			Evidence: events.EvidenceApplication, Run: run(a.Key.String(), o.Started),
			Sync: o.Started, Started: o.Started, Finished: o.Finished,
		},
		Plain: !r.Hook, Window: deployment{From: o.Started, To: o.Finished},
	}
	if r.Readable {
		v.Absent = &absence{Cluster: a.Cluster, Key: r.Key, Next: o.Next, Than: r.Other}
	}
	if r.Status != "" && r.Status != "Synced" {
		return v.silenced("") // the Job was not applied: pruned, left to be pruned, or refused
	}
	switch {
	case r.Lost:
		v.Absent = nil // the API server was asked
		return v.obstructedBy(events.Deleted, o.Started)
	case r.Phase == "Running":
		if r.Readable || !o.running() || o.Ending || !r.Hook && !madeAnew(r.Message) {
			return v.silenced("") // the Job will tell, or does not run
		}
		v.Kind = running
	case r.Phase == "Succeeded" && r.Message == reached:
		v.Kind = succeeded
		v.Attempt.Outcome = events.OutcomeSucceeded
		v.Ready = &events.Ready{
			Version: v.Attempt.Version, Digest: v.Attempt.Digest, Revision: o.Revision, Application: v.Attempt.Application,
			Evidence: events.EvidenceApplication, Since: v.at(),
		}
	case r.Hook && (r.Message == deleted || r.Message == terminated):
		return v.obstructedBy(events.Terminated, v.at())
	case r.Phase == "Succeeded":
		return v.silenced(fmt.Sprintf("Argo CD says that the Job succeeded, but only because %q", r.Message))
	case o.stale(r):
		return v.silenced("") // the end of this try tells
	case r.Phase == "Failed" && (r.Hook || !r.Readable):
		f := messageFailure(r.Message)
		v.Attempt.Finished = o.ended()
		v.Kind, v.Attempt.Outcome, v.Attempt.Failure = failed, events.OutcomeFailed, &f
	default:
		return v.silenced("")
	}
	return v
}

// madeAnew reports whether Argo CD's message on a plain Job, kubectl's words, says that this sync has made it: by creating it or,
// with Force=true,Replace=true, by deleting it and replacing it.
func madeAnew(message string) bool {
	return strings.HasSuffix(message, " created") || strings.HasSuffix(message, " replaced")
}

// recall fills in the version of a Job that does not know its own, where what is ready came by the same digest: the same image
// and command, run again, lead to no older schema.
func (v verdict) recall(ready *events.Ready) verdict {
	if ready == nil || !sameDigest(ready.Digest, v.Attempt.Digest) {
		return v
	}
	if v.Attempt.Version == "" {
		v.Attempt.Version = ready.Version
	}
	if v.Ready != nil && v.Ready.Version == "" {
		r := *v.Ready
		r.Version, v.Ready = ready.Version, &r
	}
	return v
}

// unversioned reports whether the attempt succeeded at a version that nobody knows. Nothing is ready then: no reader could
// tell whether it is what it requires.
func (v verdict) unversioned() bool { return v.Kind == succeeded && v.Ready.Version == "" }

func (v verdict) whyUnversioned() string {
	const what = "the Job succeeded, but its schema's version is unknown: "
	switch v.Attempt.Evidence {
	case events.EvidenceReport:
		why := what + "its report names none, for the tool's history has none"
		if v.Hint != "" {
			why += "; " + v.Hint
		}
		return why
	case events.EvidenceApplication:
		return what + "only its Pod's report tells it, and Jobs and Pods of its cluster are not read"
	}
	return what + "only its Pod's report tells it, and that is gone; sync again"
}

// at is when the attempt happened, or its obstacle came to be, for their order. While an operation runs, its results bear no
// time of their own: then the operation's start has to do.
func (v verdict) at() time.Time {
	if v.Kind == obstructed {
		return v.Since
	}
	return attemptTime(v.Attempt)
}

// endless reports whether it is a success that is known to have ended only after its operation began. Argo CD's result is that of the last
// of the Jobs that the operation has made, so those that failed and are gone came before it.
func (v verdict) endless() bool { return v.Kind == succeeded && v.Attempt.Finished.IsZero() }

// outrun reports whether it ended before the last attempt did, of which Argo CD has told the success without its end, and whose Job tells
// that end now.
func (v verdict) outrun(last *events.Attempt, all []verdict) bool {
	return last != nil && last.Outcome == events.OutcomeSucceeded && last.Finished.IsZero() && slices.ContainsFunc(all, func(w verdict) bool {
		return w.Kind == succeeded && !w.endless() && sameAttempt(*last, w) && compareAttempts(v.Attempt, w.Attempt) < 0
	})
}

// after is when a verdict is to be told: when it happened or, of a success whose end is not known, not before those failures.
func (v verdict) after(all []verdict) time.Time {
	at := v.at()
	for _, f := range all {
		if v.endless() && f.Kind == failed && f.Gone && f.Attempt.Sync.Equal(v.Attempt.Sync) && f.at().After(at) {
			at = f.at()
		}
	}
	return at
}

// sameDigest compares two digests of which either may be known by its first eight digits alone, as names hold them.
func sameDigest(a, b string) bool {
	const full = len("sha256:") + 64
	return a == b || short(a) == short(b) && (len(a) < full || len(b) < full)
}

// short is the part of a digest that names hold.
func short(digest string) string {
	d := strings.TrimPrefix(digest, "sha256:")
	return d[:min(8, len(d))]
}
