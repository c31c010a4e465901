package controller

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// A small language for observations: a minute is the unit of time.

var orders = target{Environment: "production", Database: "orders"}

func minute(n int) time.Time { return time.Date(2026, 11, 22, 12, n, 0, 0, time.UTC) }

func digest(version string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(version))) }

// madeJob is a Job of a version that was made in a minute and ran for one.
func madeJob(version string, made int, change ...func(*job)) job {
	j := job{
		Key: types.NamespacedName{Namespace: "shop", Name: manifests.ObjectName("orders", version, digest(version))},
		UID: types.UID("uid-" + version + "-" + minute(made).Format("04")), Version: migrations.Version(version), Digest: digest(version),
		Hook: true, Instance: "orders", Created: minute(made), Started: minute(made), Phase: jobRunning,
	}
	for _, c := range change {
		c(&j)
	}
	return j
}

// fromImage makes it the Job of an image, whose name and annotations know no version.
func fromImage(j *job) {
	j.Key.Name, j.Version = manifests.ObjectName("orders", "image", j.Digest), ""
}

func complete(j *job) { j.Phase, j.Ended = jobComplete, j.Started.Add(time.Minute) }

func gone(j *job) { j.Gone = true }

func failing(reason, message string) func(*job) {
	return func(j *job) {
		j.Phase, j.Reason, j.Message, j.Ended = jobFailed, reason, message, j.Started.Add(time.Minute)
	}
}

func reports(change func(*migrations.Report)) func(*job) {
	return func(j *job) {
		r := migrations.Report{
			Database: "orders", Environment: "production", Digest: j.Digest, To: j.Version, Outcome: migrations.OutcomeSucceeded,
			Finished: j.Started.Add(30 * time.Second),
		}
		change(&r)
		j.Pods = append(j.Pods, pod{
			UID: types.UID("pod"), Ended: true, Succeeded: r.Outcome != migrations.OutcomeFailed, EndedAt: r.Finished, Report: &r,
		})
	}
}

func outcome(o migrations.Outcome) func(*job) {
	return reports(func(r *migrations.Report) { r.Outcome = o })
}

func stillRunning(j *job) { j.Pods = append(j.Pods, pod{UID: "late"}) }

func deleting(j *job) { j.Deleting = true }

// word is an Application with one operation that says something of a version's Job.
func word(version, phase, message string, change ...func(*application)) application {
	a := application{
		Key: types.NamespacedName{Namespace: "argocd", Name: "orders"}, Environment: "production", Namespace: "shop",
		Operations: []operation{{Started: minute(10), Finished: minute(14), Revision: "abc", Results: []result{{
			Key:  madeJob(version, 0).Key,
			Name: manifests.Name{Database: "orders", Version: migrations.Version(version), Digest8: short(digest(version))},
			Hook: true, Phase: phase, Message: message,
		}}}},
	}
	for _, c := range change {
		c(&a)
	}
	return a
}

// ofImage is Argo CD's word on the Job of an image.
func ofImage(a *application) {
	r := &a.Operations[0].Results[0]
	r.Name.Version, r.Name.Kind, r.Key.Name = "", "image", manifests.ObjectName("orders", "image", r.Name.Digest8)
}

// passedOver is an Application whose last operation, a partial one, has put the marker of a version into the cluster.
func passedOver(version string, change ...func(*application)) application {
	a := word(version, "", "")
	o := &a.Operations[0]
	name := o.Results[0].Name
	name.Marker = true
	o.Partial, o.Results = true, nil
	o.Markers = []marker{{Key: types.NamespacedName{Namespace: "shop", Name: madeJob(version, 0).Key.Name + manifests.MarkerSuffix}, Name: name}}
	for _, c := range change {
		c(&a)
	}
	return a
}

func readable(a *application)   { a.Readable, a.Operations[0].Results[0].Readable = true, true }
func rolledBack(a *application) { a.Operations[0].Partial, a.Operations[0].Applied = false, true }
func markerOfImage(a *application) {
	n := &a.Operations[0].Markers[0].Name
	n.Version, n.Kind = "", "image"
}
func unfinished(a *application) {
	a.Operations[0].Finished = time.Time{}
}
func retried(a *application) { a.Operations[0].Retried = true }
func failedAt(at int) func(*application) {
	return func(a *application) { a.Operations[0].Tried = minute(at) }
}

// foundOut is the state after a failed attempt at version 2, when Argo CD has told of a success of before that.
func foundOut() events.State {
	s := published("2", lastFailed("2", "x", 12))
	s.LateAttempt = argoTold(events.OutcomeSucceeded, 0).LastAttempt
	s.Ready.Evidence, s.Ready.Since = events.EvidenceApplication, minute(10)
	return s
}

// spoken is a result whose Job speaks for itself.
func spoken(a *application) {
	readable(a)
	a.Operations[0].Results[0].HasJob = true
}

// argoTold is a state by Argo CD's word on version 2 in the operation of minute 10, which ended in another minute; 0: it goes on.
func argoTold(outcome events.Outcome, ended int) events.State {
	a := word("2", "", "")
	at := events.Attempt{
		Outcome: outcome, Version: "2", Digest: "sha256:" + short(digest("2")), Application: a.Key.String(), Evidence: events.EvidenceApplication,
		Run: run(a.Key.String(), minute(10)), Sync: minute(10), Started: minute(10),
	}
	if ended > 0 {
		at.Finished = minute(ended)
	}
	s := events.State{Environment: "production", Database: "orders", LastAttempt: &at}
	if outcome == events.OutcomeSucceeded {
		s.Ready = &events.Ready{Version: "2", Digest: at.Digest, Application: at.Application, Evidence: at.Evidence, Since: attemptTime(at)}
	}
	return s
}

func withResult(change func(*result)) func(*application) {
	return func(a *application) { change(&a.Operations[0].Results[0]) }
}

// plain is a Job of the Sync phase that was applied.
func plain(a *application) {
	r := &a.Operations[0].Results[0]
	r.Hook, r.Status = false, "Synced"
}

// published is a state in which a version is ready since minute 1 by the Job that then ended.
func published(version string, change ...func(*events.State)) events.State {
	s := events.State{
		Environment: "production", Database: "orders",
		Ready:       &events.Ready{Version: version, Digest: digest(version), Evidence: events.EvidenceReport, Since: minute(1)},
		LastAttempt: &events.Attempt{Outcome: events.OutcomeSucceeded, Version: version, Digest: digest(version), Run: "first", Finished: minute(1)},
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func lastFailed(version, run string, ended int) func(*events.State) {
	return func(s *events.State) {
		s.LastAttempt = &events.Attempt{
			Outcome: events.OutcomeFailed, Version: version, Digest: digest(version), Run: run, Application: "argocd/orders",
			Evidence: events.EvidenceJob, Started: minute(ended - 1), Finished: minute(ended), Failure: &events.Failure{Message: "no"},
		}
	}
}

func TestDecide(t *testing.T) {
	none := events.State{}
	jobs := func(j ...job) []job { return j }
	apps := func(a ...application) []application { return a }
	cases := []struct {
		name  string // the reason for the expectation
		jobs  []job
		apps  []application
		state events.State
		want  []string // "predicate version", "ready=" version by evidence after it; "(again)" if the state holds it already
		doubt string   // part of the one doubt
	}{
		{name: "nothing is there", want: nil},
		{name: "a Job that has not started says nothing", jobs: jobs(madeJob("1", 2, func(j *job) { j.Phase = jobPending })), want: nil},
		{name: "a Job runs", jobs: jobs(madeJob("1", 2)), want: []string{"started 1"}},
		{name: "a Job that runs for what is ready is no news", jobs: jobs(madeJob("1", 2)), state: published("1"), want: nil},
		{name: "nor is one of an older version", jobs: jobs(madeJob("1", 2)), state: published("2"), want: nil},
		{name: "a Job that is being deleted never says how it ends", jobs: jobs(madeJob("1", 2, deleting)), doubt: "being deleted"},
		{name: "a Job whose outcome is decided but whose Pods still end has not ended", jobs: jobs(madeJob("1", 2, func(j *job) { j.Phase = jobEnding })), want: nil},

		{name: "report and Complete are the best proof", jobs: jobs(madeJob("1", 2, complete, outcome(migrations.OutcomeSucceeded))),
			want: []string{"succeeded 1 ready=1 report"}},
		{name: "Complete alone is proof", jobs: jobs(madeJob("1", 2, complete)), want: []string{"succeeded 1 ready=1 job"}},
		{name: "a complete Job that is being deleted is still proof", jobs: jobs(madeJob("1", 2, complete, deleting)), want: []string{"succeeded 1 ready=1 job"}},
		{name: "and one that is gone", jobs: jobs(madeJob("1", 2, complete, gone)), want: []string{"succeeded 1 ready=1 job"}},
		{name: "the report of a Pod that ends later is waited for", jobs: jobs(madeJob("1", 2, complete, stillRunning)), doubt: "not arrived"},
		{name: "and of one after a Pod that failed", jobs: jobs(madeJob("1", 2, complete, outcome(migrations.OutcomeFailed), stillRunning)), doubt: "not arrived"},
		{name: "but not where the Job is gone", jobs: jobs(madeJob("1", 2, complete, gone, stillRunning)), want: []string{"succeeded 1 ready=1 job"}},
		{name: "a report of failure takes Complete its force", jobs: jobs(madeJob("1", 2, complete, reports(func(r *migrations.Report) { r.Outcome = "odd" }))), doubt: `outcome "odd"`},
		{name: "a report about another database is no report", jobs: jobs(madeJob("1", 2, complete, reports(func(r *migrations.Report) { r.Database = "audit" }))), doubt: "reports about production/audit"},
		{name: "nor one from another environment", jobs: jobs(madeJob("1", 2, complete, reports(func(r *migrations.Report) { r.Environment = "staging" }))), doubt: "reports about staging/orders"},
		{name: "nor one of other migrations", jobs: jobs(madeJob("1", 2, complete, reports(func(r *migrations.Report) { r.Digest = digest("2") }))), doubt: "reports about digest"},
		{name: "a Job under another's name proves nothing", jobs: jobs(madeJob("1", 2, complete, func(j *job) { j.Digest = digest("2") })), doubt: "name holds digest"},
		{name: "nor one without a digest", jobs: jobs(madeJob("1", 2, complete, func(j *job) { j.Digest = "" })), doubt: "lacks the annotations"},

		{name: "of an image the report tells the version", jobs: jobs(madeJob("7", 2, fromImage, complete, reports(func(r *migrations.Report) { r.To = "7" }))), want: []string{"succeeded 7 ready=7 report"}},
		{name: "without a report nobody knows it, and nothing is ready", jobs: jobs(madeJob("7", 2, fromImage, complete)), state: published("6"),
			doubt: "production/orders, run uid-7-02: the Job succeeded, but its schema's version is unknown: only its Pod's report tells it, and that is gone; sync again"},
		{name: "nor where the tool's history has none", jobs: jobs(madeJob("7", 2, fromImage, complete, outcome(migrations.OutcomeSucceeded))), doubt: "its report names none"},
		{name: "nor where only Argo CD speaks", apps: apps(word("7", "Succeeded", reached, ofImage)), doubt: "are not read"},
		{name: "what is ready by the same digest tells it", jobs: jobs(madeJob("7", 8, fromImage, complete)), state: published("7", lastFailed("7", "x", 5)), want: []string{"succeeded 7 ready=7 report"}},
		{name: "also for Argo CD", apps: apps(word("7", "Succeeded", reached, ofImage)), state: published("7", lastFailed("7", "x", 5)), want: []string{"succeeded 7 ready=7 report"}},
		{name: "a report that is gone once it was published leaves no doubt", jobs: jobs(madeJob("7", 2, fromImage, complete)),
			state: published("7", func(s *events.State) { s.LastAttempt.Run = "uid-7-02" }), want: []string{"succeeded 7 (again)"}},
		{name: "nor one before a newer attempt", jobs: jobs(madeJob("6", 2, fromImage, complete)), state: published("7", func(s *events.State) { s.LastAttempt.Finished = minute(9) }), want: nil},
		{name: "the Job of an image runs", jobs: jobs(madeJob("7", 2, fromImage)), want: []string{"started "}},
		{name: "also one of another digest than what is ready", jobs: jobs(madeJob("7", 2, fromImage)), state: published("6"), want: []string{"started "}},
		{name: "but of the same it is no news", jobs: jobs(madeJob("7", 2, fromImage)), state: published("7"), want: nil},
		{name: "it fails at nobody knows which version", jobs: jobs(madeJob("7", 2, fromImage, failing("BackoffLimitExceeded", backoff))), state: published("6"), want: []string{"failed  ready=6 report"}},
		{name: "unless its report tells", jobs: jobs(madeJob("7", 2, fromImage, failing("BackoffLimitExceeded", backoff), reports(func(r *migrations.Report) {
			r.Outcome, r.Target, r.Failure = migrations.OutcomeFailed, "7", &migrations.Failure{Message: "no"}
		}))), state: published("6"), want: []string{"failed 7 ready=6 report"}},
		{name: "Argo CD's failure of one", apps: apps(word("7", "Failed", backoff, ofImage)), state: published("6"), want: []string{"failed  ready=6 report"}},
		{name: "an older image that finds the newer schema ends what was told to have begun, for nobody knew its version then", jobs: jobs(madeJob("6", 4, fromImage, complete, reports(func(r *migrations.Report) {
			r.Outcome, r.Target, r.To = migrations.OutcomeAhead, "6", "7"
		}))), state: published("7"), want: []string{"succeeded 6 ready=7 report"}},
		{name: "names are ordered as for those who wait", jobs: jobs(madeJob("2024_02", 4, fromImage, complete, reports(func(r *migrations.Report) { r.To = "2024_10" }))),
			state: published("2024_9"), want: []string{"succeeded 2024_10 ready=2024_10 report"}},
		{name: "a version in the name and none in the annotations", jobs: jobs(madeJob("1", 2, complete, func(j *job) { j.Version = "" })), doubt: "lacks the annotations"},

		{name: "the report says what the ledger holds", jobs: jobs(madeJob("1", 2, complete, reports(func(r *migrations.Report) { r.To = "3"; r.Outcome = migrations.OutcomeAhead }))),
			want: []string{"succeeded 1 ready=3 report"}},
		{name: "a run that found everything in place is no news", jobs: jobs(madeJob("1", 2, complete, outcome(migrations.OutcomeCurrent))), state: published("1"), want: nil},
		{name: "unless nobody knew", jobs: jobs(madeJob("1", 2, complete, outcome(migrations.OutcomeCurrent))), want: []string{"succeeded 1 ready=1 report"}},
		{name: "or the last attempt had failed", jobs: jobs(madeJob("1", 9, complete, outcome(migrations.OutcomeCurrent))), state: published("1", lastFailed("1", "x", 5)),
			want: []string{"succeeded 1 ready=1 report"}},
		{name: "unless what is ready has become so while it ran, for it was told to have begun", jobs: jobs(madeJob("1", 0, complete, reports(func(r *migrations.Report) {
			r.To, r.Outcome = "2", migrations.OutcomeAhead
		}), func(j *job) { j.Ended = minute(3) })), state: published("2"), want: []string{"succeeded 1 ready=2 report"}},
		{name: "a rollback that finds a newer ledger is no news", jobs: jobs(madeJob("1", 2, complete, reports(func(r *migrations.Report) { r.To = "2"; r.Outcome = migrations.OutcomeAhead }))), state: published("2"), want: nil},
		{name: "a rollback's Job does not bring the version down", jobs: jobs(madeJob("1", 2, complete)), state: published("2"), want: nil},
		{name: "a report does", jobs: jobs(madeJob("1", 2, complete, outcome(migrations.OutcomeSucceeded))), state: published("2"), want: []string{"succeeded 1 ready=1 report"}},

		{name: "a failure keeps what is ready", jobs: jobs(madeJob("2", 2, failing("BackoffLimitExceeded", backoff))), state: published("1"), want: []string{"failed 2 ready=1 report"}},
		{name: "the same migrations, run once more for a new tenant, are another attempt", jobs: jobs(madeJob("1", 2, complete, gone), madeJob("1", 5, failing("BackoffLimitExceeded", backoff))),
			state: published("1"), want: []string{"failed 1 ready=1 report"}},
		{name: "a failed Job whose report has not arrived waits for it", jobs: jobs(madeJob("2", 2, failing("BackoffLimitExceeded", backoff), stillRunning)), doubt: "not arrived"},
		{name: "what is published is told again, without harm", jobs: jobs(madeJob("2", 4, failing("BackoffLimitExceeded", backoff))),
			state: published("1", lastFailed("2", "uid-2-04", 5)), want: []string{"failed 2 (again)"}},
		{name: "an older result does not replace a newer one", jobs: jobs(madeJob("2", 2, failing("BackoffLimitExceeded", backoff))), state: published("1", lastFailed("3", "x", 9)), want: nil},
		{name: "an older success was missed before a failure", jobs: jobs(madeJob("2", 2, complete)), state: published("1", lastFailed("3", "x", 9)), want: []string{"succeeded 2 ready=2 job"}},
		{name: "an older success before a newer one is over", jobs: jobs(madeJob("1", 2, complete)), state: published("2", func(s *events.State) { s.LastAttempt.Finished = minute(9) }), want: nil},
		{name: "several results come oldest first, then what runs", jobs: jobs(madeJob("3", 9), madeJob("2", 5, failing("BackoffLimitExceeded", backoff)), madeJob("1", 2, complete)),
			want: []string{"succeeded 1 ready=1 job", "failed 2 ready=1 job", "started 3"}},

		{name: "Argo CD's word counts where no Job can be read", apps: apps(word("1", "Succeeded", reached)), want: []string{"succeeded 1 ready=1 application"}},
		{name: "also before its operation ends", apps: apps(word("1", "Succeeded", reached, unfinished)), want: []string{"succeeded 1 ready=1 application"}},
		{name: "a terminated hook succeeded only in being deleted", apps: apps(word("1", "Succeeded", "Deleted")), want: []string{"terminated 1"}},
		{name: "as one says in Argo CD 3", apps: apps(word("1", "Failed", "Terminated")), want: []string{"terminated 1"}},
		{name: "or where the Job was gone already", apps: apps(word("1", "Succeeded", "Terminated")), want: []string{"terminated 1"}},
		{name: "a hook that succeeded with any other word", apps: apps(word("1", "Succeeded", "odd")), doubt: `because "odd"`},
		{name: "a pruned Job proves nothing", apps: apps(word("1", "Succeeded", "pruned", withResult(func(r *result) { r.Status = "Pruned" }))), want: nil},
		{name: "nor one that is left to be pruned", apps: apps(word("1", "Succeeded", "ignored (requires pruning)", withResult(func(r *result) { r.Status = "PruneSkipped" }))), want: nil},
		{name: "a Job that was refused did not fail, it never ran", apps: apps(word("1", "Failed", "field is immutable", withResult(func(r *result) { r.Status = "SyncFailed" }))), want: nil},
		{name: "a Job that can be read speaks for itself", apps: apps(word("1", "Succeeded", reached, readable, withResult(func(r *result) { r.HasJob = true }))), want: nil},
		{name: "one of another database is not ours", apps: apps(word("1", "Succeeded", reached, withResult(func(r *result) { r.Name.Database = "audit" }))), want: nil},
		{name: "one of another environment neither", apps: apps(word("1", "Succeeded", reached, func(a *application) { a.Environment = "staging" })), want: nil},
		{name: "it runs, says Argo CD", apps: apps(word("1", "Running", "job.batch/x created", unfinished)), want: []string{"started 1"}},
		{name: "where Jobs can be read they say so", apps: apps(word("1", "Running", "job.batch/x created", unfinished, readable)), want: nil},
		{name: "an operation that is over runs nothing", apps: apps(word("1", "Running", "job.batch/x created")), want: nil},
		{name: "a plain Job that did not change does not run", apps: apps(word("1", "Running", "job.batch/x unchanged", unfinished, plain)), want: nil},
		{name: "one that was replaced does", apps: apps(word("1", "Running", "job.batch \"x\" deleted\njob.batch/x replaced", unfinished, plain)), want: []string{"started 1"}},
		{name: "a plain Job that Argo CD found complete", apps: apps(word("1", "Succeeded", reached, plain)), want: []string{"succeeded 1 ready=1 application"}},
		{name: "one after which nothing was to be applied may still run when its sync has succeeded", apps: apps(word("1", "Running", "job.batch/x created", plain)), want: nil},
		{name: "one that was applied proves nothing by that", apps: apps(word("1", "Succeeded", "job.batch/x created", plain)), doubt: `because "job.batch/x created"`},
		{name: "Argo CD's failure", apps: apps(word("2", "Failed", backoff)), state: published("1"), want: []string{"failed 2 ready=1 report"}},
		{name: "of two syncs that began in one second the second failed", apps: apps(word("2", "Failed", backoff)), state: published("1", func(s *events.State) {
			s.LastAttempt.Run, s.LastAttempt.Started, s.LastAttempt.Finished = "argocd/orders@2026-11-22T12:10:00Z", minute(10), minute(14)
		}), want: []string{"failed 2 ready=1 report"}},
		{name: "the Job told of this failure before it was deleted", apps: apps(word("2", "Failed", backoff, readable)), state: published("1", lastFailed("2", "uid", 12)), want: nil},
		{name: "that was another operation's", apps: apps(word("2", "Failed", backoff, readable)), state: published("1", lastFailed("2", "uid", 8)), want: []string{"failed 2 ready=1 report"}},
		{name: "a plain Job's failure may be of an earlier sync", apps: apps(word("2", "Failed", backoff, readable, plain)), want: nil},
		{name: "the Job told of this success before", apps: apps(word("1", "Succeeded", reached, readable)), state: published("1"), want: nil},
		{name: "a success of a sync whose end nobody saw came before a later failure", apps: apps(word("1", "Succeeded", reached, unfinished)),
			state: published("1", lastFailed("1", "x", 12)), want: nil},
		{name: "or after it, in another try, as the end of the sync shows", apps: apps(word("1", "Succeeded", reached)), state: published("1", lastFailed("1", "x", 12)),
			want: []string{"succeeded 1 ready=1 report"}},
		{name: "what it makes ready is told while the sync runs", apps: apps(word("2", "Succeeded", reached, unfinished)), state: published("1", lastFailed("2", "x", 12)),
			want: []string{"succeeded 2 ready=2 application"}},
		{name: "a Job that can be read now ended before that success", state: argoTold(events.OutcomeSucceeded, 0),
			jobs: []job{
				madeJob("1", 11, complete, reports(func(*migrations.Report) {})),
				madeJob("2", 12, complete, reports(func(*migrations.Report) {})),
			},
			apps: apps(word("2", "Succeeded", reached, unfinished, spoken)), want: nil},
		{name: "and not once more at its end", apps: apps(word("2", "Succeeded", reached)), state: foundOut(), want: nil},
		{name: "nor by its Job, once that can be read", jobs: jobs(madeJob("2", 11, complete)), apps: apps(word("2", "Succeeded", reached, spoken)), state: foundOut(), want: nil},
		{name: "another success of that version is told", jobs: jobs(madeJob("2", 20, complete)), apps: apps(word("2", "Succeeded", reached, spoken, func(a *application) {
			a.Operations[0].Started, a.Operations[0].Finished = minute(19), minute(22)
		})), state: foundOut(), want: []string{"succeeded 2 ready=2 application"}},
		{name: "a later attempt takes its place", jobs: jobs(madeJob("3", 20, failing("BackoffLimitExceeded", backoff))), state: foundOut(),
			want: []string{"failed 3 ready=2 application"}},
		{name: "a failure of the try before is not told while the next one may have made its Job", apps: apps(word("2", "Failed", backoff, unfinished, retried)), want: nil},
		{name: "between two tries it is", apps: apps(word("2", "Failed", backoff, unfinished, retried, failedAt(12))), want: []string{"failed 2"}},
		{name: "Argo CD told of that while the Job could not be read", jobs: jobs(madeJob("2", 11, failing("BackoffLimitExceeded", backoff))),
			apps: apps(word("2", "Failed", backoff, unfinished, retried, spoken)), state: argoTold(events.OutcomeFailed, 12), want: nil},
		{name: "but not of the next try's", jobs: jobs(madeJob("2", 13, failing("BackoffLimitExceeded", backoff))),
			apps: apps(word("2", "Failed", backoff, unfinished, retried, spoken)), state: argoTold(events.OutcomeFailed, 12), want: []string{"failed 2"}},
		{name: "of a success it told while the sync went on", jobs: jobs(madeJob("2", 11, complete)),
			apps: apps(word("2", "Succeeded", reached, unfinished, spoken)), state: argoTold(events.OutcomeSucceeded, 0), want: nil},
		{name: "a Job that failed and is gone came before that", jobs: jobs(madeJob("2", 11, failing("BackoffLimitExceeded", backoff), gone)),
			apps: apps(word("2", "Succeeded", reached, unfinished)), state: argoTold(events.OutcomeSucceeded, 0), want: []string{"succeeded 2 (again)"}},
		{name: "one that is there after it", jobs: jobs(madeJob("2", 11, failing("BackoffLimitExceeded", backoff))),
			apps: apps(word("2", "Succeeded", reached, unfinished, spoken)), state: argoTold(events.OutcomeSucceeded, 0), want: []string{"failed 2 ready=2 application"}},
		{name: "a Job that was seen to be gone does not run, whatever Argo CD says", apps: apps(word("2", "Running", "job.batch/x created", unfinished)),
			state: published("1", func(s *events.State) {
				s.Obstacle = &events.Obstacle{Kind: events.Deleted, Version: "2", Digest: digest("2"), Run: run("argocd/orders", minute(10)), Since: minute(10)}
			}), want: nil},
		{name: "a newer schema than Argo CD could tell of was there before", jobs: jobs(madeJob("3", 2, complete)),
			state: argoTold(events.OutcomeSucceeded, 14), want: []string{"succeeded 3 ready=3 job"}},
		{name: "a partial sync runs no hooks", apps: apps(passedOver("2")), state: published("1"), want: []string{"skipped 2"}},
		{name: "nor does a rollback", apps: apps(passedOver("2", rolledBack)), state: published("1"), want: []string{"skipped 2"}},
		{name: "it skips nothing where it brings back what was there before", apps: apps(passedOver("1", rolledBack)), state: published("2"), want: nil},
		{name: "a whole sync runs them", apps: apps(passedOver("2", func(a *application) { a.Operations[0].Partial = false })), state: published("1"), want: nil},
		{name: "a marker that is put back", apps: apps(passedOver("1")), state: published("1"), want: nil},
		{name: "one of other migrations up to the same version", apps: apps(passedOver("1")), state: published("1", func(s *events.State) { s.Ready.Digest = digest("x") }), want: []string{"skipped 1"}},
		{name: "while the sync goes on, the Job may yet come", apps: apps(passedOver("2", unfinished)), state: published("1"), want: nil},
		{name: "a sync that another has replaced", apps: apps(passedOver("2", unfinished, func(a *application) { a.Operations[0].Past = true })), state: published("1"), want: []string{"skipped 2"}},
		{name: "a plain Job runs in a partial sync as well", apps: apps(passedOver("2", func(a *application) {
			a.Operations[0].Results = word("2", "Succeeded", reached, plain).Operations[0].Results
		})), state: published("1"), want: []string{"succeeded 2 ready=2 application"}},
		{name: "nobody knows what was there before", apps: apps(passedOver("2")), doubt: "is not known"},
		{name: "unless an attempt failed", apps: apps(passedOver("2")), state: published("1", lastFailed("1", "x", 5), func(s *events.State) { s.Ready = nil }), want: []string{"skipped 2"}},
		{name: "the Job that then ran is told of after it", jobs: jobs(madeJob("2", 20, complete)), apps: apps(passedOver("2")), state: published("1"),
			want: []string{"skipped 2", "succeeded 2 ready=2 job"}},
		{name: "the Job that ran before made it ready", jobs: jobs(madeJob("2", 2, complete)), apps: apps(passedOver("2")), state: published("1"), want: []string{"succeeded 2 ready=2 job"}},
		{name: "a part of an image's commit", apps: apps(passedOver("2", markerOfImage)), state: published("1"), want: []string{"skipped "}},
		{name: "a rollback of an image may be to one that ran", apps: apps(passedOver("2", markerOfImage, rolledBack)), state: published("1"), want: nil},
		{name: "a rollback, says Argo CD, does not bring the version down", apps: apps(word("1", "Succeeded", reached)), state: published("2"), want: nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.state == none {
				c.state = events.State{Environment: "production", Database: "orders"}
			}
			d := decide(observation{Target: orders, Jobs: c.jobs, Applications: c.apps, State: c.state})
			for _, p := range d.Publications {
				if p.State != nil && p.Event.Predicate != events.Started && !p.held() {
					t.Errorf("the state does not hold %q, so it is lost if nobody can tell it at once", p.Event.Reason)
				}
			}
			if diff := cmp.Diff(c.want, lines(d)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if got := strings.Join(d.Doubts, "; "); c.doubt == "" != (got == "") || !strings.Contains(got, c.doubt) {
				t.Errorf("doubts %q, want %q", got, c.doubt)
			}
			settle(t, c.jobs, c.apps, c.state, d)
		})
	}
}

func lines(d decision) []string {
	var out []string
	for _, p := range d.Publications {
		line := string(p.Event.Predicate) + " " + p.Event.Attempt.Version
		switch {
		case p.Event.Predicate == events.Started, p.Event.Predicate.Obstructs():
		case p.State == nil:
			line += " (again)"
		case p.State.Ready != nil:
			line += " ready=" + p.State.Ready.Version + " " + string(p.State.Ready.Evidence)
		}
		out = append(out, line)
	}
	return out
}

// settle carries a decision out and decides again: nothing may then change any more.
func settle(t *testing.T, jobs []job, apps []application, state events.State, d decision) {
	t.Helper()
	for _, p := range d.Publications {
		if p.State != nil {
			state = *p.State
		}
	}
	known := map[string]bool{}
	for _, p := range d.Publications {
		known[p.Event.ID] = true
	}
	for _, p := range decide(observation{Target: orders, Jobs: jobs, Applications: apps, State: state}).Publications {
		if p.State != nil || !known[p.Event.ID] {
			t.Errorf("not settled: %s %s", p.Event.Predicate, p.Event.Attempt.Version)
		}
	}
}

// TestUnversioned is said while it is the newest attempt of which nobody knows the version.
func TestUnversioned(t *testing.T) {
	for _, c := range []struct {
		name  string
		jobs  []job
		state events.State
		want  bool
	}{
		{"it is the only one", []job{madeJob("7", 2, fromImage, complete)}, events.State{}, true},
		{"what is ready came before it", []job{madeJob("7", 2, fromImage, complete)}, published("6"), true},
		{"its report is there", []job{madeJob("7", 2, fromImage, complete, reports(func(r *migrations.Report) { r.To = "7" }))}, events.State{}, false},
		{"a newer one has a report", []job{madeJob("7", 2, fromImage, complete), madeJob("8", 4, complete)}, events.State{}, false},
		{"a newer one found everything in place", []job{madeJob("7", 2, fromImage, complete), madeJob("6", 4, complete)}, published("6"), false},
		{"a newer one failed", []job{madeJob("7", 2, fromImage, complete), madeJob("8", 4, failing("BackoffLimitExceeded", backoff))}, events.State{}, false},
		{"it was known once", []job{madeJob("7", 2, fromImage, complete)}, published("7"), false},
	} {
		if got := decide(observation{Target: orders, Jobs: c.jobs, State: c.state}).Unversioned; (got != nil) != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestReasonsWithoutVersion says nothing of a version that nobody knows.
func TestReasonsWithoutVersion(t *testing.T) {
	for want, j := range map[string]job{
		"the migration of production/orders runs":                                        madeJob("7", 2, fromImage),
		"the migration of production/orders failed: " + backoff + ": every retry failed": madeJob("7", 2, fromImage, failing("BackoffLimitExceeded", backoff)),
	} {
		d := decide(observation{Target: orders, Jobs: []job{j}})
		if len(d.Publications) != 1 || !strings.HasPrefix(d.Publications[0].Event.Reason, want) {
			t.Errorf("%+v, want %s", d.Publications, want)
		}
	}
}

// TestMinCompatible follows the oldest version that readers may have through releases that speak of it or do not.
func TestMinCompatible(t *testing.T) {
	state := events.State{}
	for i, step := range []struct{ version, says, want string }{
		{"1", "", ""}, {"2", "1", "1"}, {"3", "", "1"}, {"4", "3", "3"}, {"4", "2", "2"},
	} {
		j := madeJob(step.version, 2*i, complete, outcome(migrations.OutcomeSucceeded), func(j *job) { j.MinCompatible = migrations.Version(step.says) })
		d := decide(observation{Target: orders, Jobs: []job{j}, State: state})
		if len(d.Publications) != 1 || d.Publications[0].State == nil {
			t.Fatalf("%s: %v", step.version, lines(d))
		}
		state = *d.Publications[0].State
		if got := state.Ready.MinCompatible; got != step.want {
			t.Errorf("%s, which says %q: %q, want %q", step.version, step.says, got, step.want)
		}
	}
}

func TestFailures(t *testing.T) {
	rejected := func(r *migrations.Report) {
		r.Outcome = migrations.OutcomeFailed
		r.Failure = &migrations.Failure{Permanent: true, SQLState: "42701", File: "0007_x.sql", Line: 12, Message: "exists", Hint: "drop it"}
	}
	const caught = "Container migrate for pod a/b failed with exit code %s matching FailJob rule at index 1"
	for _, c := range []struct {
		name      string
		job       job
		permanent bool
		reason    string // part of the event's reason
	}{
		{"the report knows best", madeJob("2", 2, failing("PodFailurePolicy", "caught"), reports(rejected)), true, "0007_x.sql:12: exists (SQLSTATE 42701): drop it"},
		{"an exit code is permanent if its meaning is", madeJob("2", 2, failing("PodFailurePolicy", strings.Replace(caught, "%s", "65", 1))), true, "correct it, and push"},
		{"and if the Job stops at it", madeJob("2", 2, failing("PodFailurePolicy", strings.Replace(caught, "%s", "3", 1))), true, "exit code 3"},
		{"what was retried may work tomorrow", madeJob("2", 2, failing("BackoffLimitExceeded", backoff)), false, "every retry failed"},
		{"so may what took too long", madeJob("2", 2, failing("DeadlineExceeded", deadline)), false, "policy.deadline"},
		{"a Job may fail although the migration is done", madeJob("2", 2, failing("DeadlineExceeded", deadline), outcome(migrations.OutcomeSucceeded)), false, "sync again"},
		{"a Job without a message", madeJob("2", 2, failing("", "")), false, "without a message"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decide(observation{Target: orders, Jobs: []job{c.job}})
			if len(d.Publications) != 1 {
				t.Fatalf("%v, doubts %q", lines(d), d.Doubts)
			}
			e := d.Publications[0].Event
			if e.Predicate != events.Failed || e.Attempt.Failure.Permanent != c.permanent || !strings.Contains(e.Reason, c.reason) {
				t.Errorf("%s, permanent %t: %s", e.Predicate, e.Attempt.Failure.Permanent, e.Reason)
			}
		})
	}
}

func TestSuperseded(t *testing.T) {
	old := func(version string, made int, change ...func(*job)) job {
		return madeJob(version, made, append([]func(*job){complete}, change...)...)
	}
	broken := func(version string, made int) job {
		return madeJob(version, made, failing("BackoffLimitExceeded", backoff))
	}
	busy := application{Key: types.NamespacedName{Namespace: "argocd", Name: "orders"}, Operations: []operation{{Started: minute(1)}}}
	for _, c := range []struct {
		name string
		jobs []job
		apps []application
		want []string
	}{
		{"the only Job stays", []job{old("1", 1)}, nil, nil},
		{"one that a newer set's success replaces goes", []job{old("1", 1), old("2", 5)}, nil, []string{"1"}},
		{"so does a failed one", []job{old("1", 1), broken("2", 3), old("3", 5)}, nil, []string{"1", "2"}},
		{"a newer failure replaces nothing", []job{old("1", 1), broken("2", 3)}, nil, nil},
		{"nothing goes while one runs", []job{old("1", 1), old("2", 3), madeJob("3", 5)}, nil, nil},
		{"nor while a sync is in progress", []job{old("1", 1), old("2", 3)}, []application{busy}, nil},
		{"plain Jobs are Argo CD's to prune", []job{old("1", 1, func(j *job) { j.Hook = false }), old("2", 3)}, nil, nil},
		{"a success at a version that nobody knows replaces nothing", []job{old("1", 1), old("2", 3, fromImage)}, nil, nil},
		{"one of an image does with its report", []job{old("1", 1), old("2", 3, fromImage, reports(func(r *migrations.Report) { r.To = "2" }))}, nil, []string{"1"}},
		{"what is gone is gone", []job{old("1", 1, gone), old("2", 3)}, nil, nil},
		{"a success that is gone replaces nothing", []job{old("1", 1), old("2", 3, gone)}, nil, nil},
		{"a success that is in doubt replaces nothing", []job{old("1", 1), old("2", 3, stillRunning)}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, j := range superseded(observation{Target: orders, Jobs: c.jobs, Applications: c.apps}) {
				got = append(got, string(j.Version))
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
