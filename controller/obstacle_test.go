package controller

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	"github.com/schemawave/schemawave/events"
)

// due is an Application that was compared with revision "new", holds the marker of a version that is still to be applied, and has had
// another revision synced, from minute 10 to 14.
func due(version string, change ...func(*application)) application {
	a := passedOver(version)
	o := &a.Operations[0]
	a.Wanted, a.Compared, o.Markers, o.Partial = o.Markers, "new", nil, false
	for _, c := range change {
		c(&a)
	}
	return a
}

// syncFailed has the operation be of that revision and fail.
func syncFailed(message string) func(*application) {
	return func(a *application) {
		o := &a.Operations[0]
		o.Failed, o.Revision, o.Message = true, "new", message
	}
}

func says(message string) func(*application) {
	return func(a *application) { a.Refusal = refusal{Message: message, Since: minute(15)} }
}

// withWord adds what Argo CD says of a version's Job.
func withWord(version, phase, message string, change ...func(*application)) func(*application) {
	return func(a *application) {
		w := word(version, phase, message, change...)
		a.Operations[0].Results = append(a.Operations[0].Results, w.Operations[0].Results...)
	}
}

func asked(a *application)   { a.Asked = true }
func guessed(a *application) { a.Readable = true }
func lost(a *application) {
	unfinished(a)
	readable(a)
	a.Operations[0].Results[0].Lost = true
}
func inProgress(message string) func(*application) {
	return func(a *application) {
		unfinished(a)
		a.Asked, a.Operations[0].Revision, a.Operations[0].Message = true, "new", message
	}
}

func inTheWay(kind events.Predicate, version string, since int) func(*events.State) {
	return func(s *events.State) {
		s.Obstacle = &events.Obstacle{Kind: kind, Version: version, Digest: digest(version), Run: "x", Since: minute(since), Reason: "so it is"}
	}
}

func TestObstacles(t *testing.T) {
	jobs := func(j ...job) []job { return j }
	apps := func(a ...application) []application { return a }
	const denied = `error updating application "orders": admission webhook denied the request`
	for _, c := range []struct {
		name  string // the reason for the expectation
		jobs  []job
		apps  []application
		state events.State
		want  []string
		left  string // what is in the way afterwards, "kind version"
		doubt string
	}{
		{name: "a sync that fails before its hooks attempts nothing", apps: apps(due("2", syncFailed("tasks are not valid"))), state: published("1"),
			want: []string{"unattempted 2"}, left: "unattempted 2"},
		{name: "also where nothing is ready yet", apps: apps(due("1", syncFailed("tasks are not valid"))), want: []string{"unattempted 1"}, left: "unattempted 1"},
		{name: "unless Jobs can be read, and would tell the environment", apps: apps(due("1", syncFailed("tasks are not valid"), guessed)), doubt: "annotate the Application"},
		{name: "an earlier migration failed", apps: apps(due("2", syncFailed("unsuccessfully"), withWord("2", "Failed", backoff, withResult(func(r *result) { r.Name.Database = "audit" })))),
			state: published("1"), want: []string{"unattempted 2"}, left: "unattempted 2"},
		{name: "the API server refused the Job", apps: apps(due("2", syncFailed("unsuccessfully"), withWord("2", "Failed", "quota", withResult(func(r *result) { r.Status = "SyncFailed" })))),
			state: published("1"), want: []string{"unattempted 2"}, left: "unattempted 2"},
		{name: "one that failed was attempted", apps: apps(due("2", syncFailed("unsuccessfully"), withWord("2", "Failed", backoff))), state: published("1"), want: []string{"failed 2 ready=1 report"}},
		{name: "and so was one whose result an earlier try had", apps: apps(due("2", syncFailed("unsuccessfully"))), jobs: jobs(madeJob("2", 11, failing("BackoffLimitExceeded", backoff))),
			state: published("1"), want: []string{"failed 2 ready=1 report"}},
		{name: "which may be published already", apps: apps(due("2", syncFailed("unsuccessfully"))), state: published("1", lastFailed("2", "x", 12)), want: nil},
		{name: "a sync of another revision that failed says nothing of this one", apps: apps(due("2", syncFailed("no"), func(a *application) { a.Operations[0].Revision = "old" })), state: published("1"), want: nil},
		{name: "one without results is not known", apps: apps(due("2", syncFailed("no"), func(a *application) { a.Operations[0].Failed = false })), state: published("1"), want: nil},
		{name: "what is ready is not to be attempted", apps: apps(due("1", syncFailed("no"))), state: published("1"), want: nil},
		{name: "nor what is older", apps: apps(due("1", syncFailed("no"))), state: published("2"), want: nil},
		{name: "an image's migration is", apps: apps(due("2", syncFailed("no"), func(a *application) { a.Wanted[0].Name.Version, a.Wanted[0].Name.Kind = "", "image" })), state: published("1"),
			want: []string{"unattempted "}, left: "unattempted "},
		{name: "a sync that has just been asked for may attempt it", apps: apps(due("2", syncFailed("no"), asked)), state: published("1"), want: nil},

		{name: "Argo CD takes it for tried", apps: apps(due("2", says("Failed sync attempt to new: no"))), state: published("1"), want: []string{"stuck 2"}, left: "stuck 2"},
		{name: "what it said of another revision is left over", apps: apps(due("2", says("Failed sync attempt to old: no"))), state: published("1"), want: nil},
		{name: "of several sources it names no revision", apps: apps(due("2", says("Failed sync attempt to : no"), func(a *application) { a.Compared = "x,y" })), state: published("1"),
			want: []string{"stuck 2"}, left: "stuck 2"},
		{name: "it does not while it syncs", apps: apps(due("2", says("Failed sync attempt to new: no"), asked)), state: published("1"), want: nil},
		{name: "what failed already is not stuck", apps: apps(due("2", says("Failed sync attempt to new: no"), withWord("2", "Failed", backoff))), state: published("1"), want: []string{"failed 2 ready=1 report"}},
		{name: "although Argo CD has thrown the result away", apps: apps(due("2", says("Failed sync attempt to new: no"))), state: published("1", lastFailed("2", "x", 12)), want: nil},
		{name: "it failed in an earlier sync", apps: apps(due("2", says("Failed sync attempt to new: no"))), state: published("1", lastFailed("2", "x", 8)), want: []string{"stuck 2"}, left: "stuck 2"},

		{name: "the operation was refused", apps: apps(due("2", says(denied))), state: published("1"), want: []string{"blocked 2"}, left: "blocked 2"},
		{name: "a sync window holds it up", apps: apps(due("2", inProgress(heldByWindow))), state: published("1"), want: []string{"blocked 2"}, left: "blocked 2"},
		{name: "not after its Job was made", apps: apps(due("2", inProgress(heldByWindow), withWord("2", "Succeeded", reached))), state: published("1"), want: []string{"succeeded 2 ready=2 application"}},
		{name: "a sync that runs is not held up", apps: apps(due("2", inProgress("waiting for completion of hook"))), state: published("1"), want: nil},

		{name: "the Job is gone and Argo CD waits for it", apps: apps(word("2", "Running", "job.batch/x created", lost)), state: published("1"), want: []string{"deleted 2"}, left: "deleted 2"},
		{name: "it matters no more once its schema is ready", apps: apps(word("2", "Running", "job.batch/x created", lost)), state: published("2"), want: nil},

		{name: "terminated", apps: apps(word("2", "Succeeded", "Deleted")), state: published("1"), want: []string{"terminated 2"}, left: "terminated 2"},
		{name: "an older one's termination keeps nobody", apps: apps(word("1", "Succeeded", "Deleted")), state: published("2"), want: nil},
		{name: "what is told stands, and is told again without harm", apps: apps(due("2", says(denied))), state: published("1", func(s *events.State) {
			s.Obstacle = &events.Obstacle{Kind: events.Blocked, Version: "2", Digest: "sha256:" + short(digest("2")), Run: "argocd/orders@2026-11-22T12:10:00Z", Since: minute(14)}
		}), want: []string{"blocked 2"}, left: "blocked 2"},
		{name: "a newer obstacle takes the place of an older one", apps: apps(due("3", says(denied))), state: published("1", inTheWay(events.Stuck, "2", 9)), want: []string{"blocked 3"}, left: "blocked 3"},
		{name: "an older one does not", apps: apps(word("2", "Succeeded", "Deleted")), state: published("1", inTheWay(events.Stuck, "3", 20)), want: []string{"terminated 2"}, left: "stuck 3"},
		{name: "one of the same kind that is older comes too late to be told", apps: apps(word("2", "Succeeded", "Deleted")), state: published("1", inTheWay(events.Terminated, "3", 20)), want: nil, left: "terminated 3"},
		{name: "in one operation the newer commit takes its place", apps: apps(due("10", inProgress(heldByWindow))), state: published("1", func(s *events.State) {
			s.Obstacle = &events.Obstacle{Kind: events.Blocked, Version: "9", Digest: "sha256:ffffffff", Run: "argocd/orders@2026-11-22T12:10:00Z", Since: minute(10)}
		}), want: []string{"blocked 10"}, left: "blocked 10"},
		{name: "the next run leaves it behind", apps: apps(word("2", "Succeeded", "Deleted")), jobs: jobs(madeJob("2", 20)), state: published("1", inTheWay(events.Terminated, "2", 14)),
			want: []string{"terminated 2", "started 2"}},
		{name: "a success does, of an older schema too", jobs: jobs(madeJob("1", 20, complete)), state: published("1", inTheWay(events.Stuck, "2", 14)), want: []string{"succeeded 1 ready=1 report"}},
		{name: "one from before does not", jobs: jobs(madeJob("1", 10, complete)), state: published("1", inTheWay(events.Stuck, "2", 14)), want: nil, left: "stuck 2"},
		{name: "a failure does, if it began after it", jobs: jobs(madeJob("2", 20, failing("BackoffLimitExceeded", backoff))), state: published("1", inTheWay(events.Stuck, "2", 14)), want: []string{"failed 2 ready=1 report"}},
		{name: "what runs for something else leaves it behind", jobs: jobs(madeJob("3", 20)), state: published("1", inTheWay(events.Stuck, "2", 14)), want: []string{"started 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.state.Environment, c.state.Database = "production", "orders"
			d := decide(observation{Target: orders, Jobs: c.jobs, Applications: c.apps, State: c.state})
			if diff := cmp.Diff(c.want, lines(d)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			state := c.state
			for _, p := range d.Publications {
				if p.State != nil {
					state = *p.State
				}
			}
			left := ""
			if o := state.Obstacle; o != nil {
				left = string(o.Kind) + " " + o.Version
			}
			if left != c.left {
				t.Errorf("%q is in the way, want %q", left, c.left)
			}
			if got := strings.Join(d.Doubts, "; "); c.doubt == "" != (got == "") || !strings.Contains(got, c.doubt) {
				t.Errorf("doubts %q, want %q", got, c.doubt)
			}
			settle(t, c.jobs, c.apps, c.state, d)
		})
	}
}

// TestOvertakenObstacles: what a newer attempt has left behind does not come back to stand in the way, although of that attempt nothing is
// known but that it came to nothing, too.
func TestOvertakenObstacles(t *testing.T) {
	a := word("2", "Succeeded", "Deleted", func(a *application) {
		later := word("2", "Running", "job.batch/x created", lost).Operations[0]
		later.Started = minute(20)
		a.Operations = append(a.Operations, later)
	})
	for _, p := range decide(observation{Target: orders, Applications: []application{a}, State: published("1")}).Publications {
		if stands := p.State != nil; stands != (p.Event.Predicate == events.Deleted) {
			t.Errorf("%s stands in the way: %t", p.Event.Predicate, stands)
		}
	}
}

// TestObstaclesAreTold replays what a real Argo CD did, in part changed to what it does in a case that is not recorded: of each
// obstacle the state holds the remedy, people and the metric are told once, and a controller that starts anew tells nothing.
func TestObstaclesAreTold(t *testing.T) {
	for _, c := range []struct {
		recording string
		change    func([]delivery) []delivery
		database  target
		kind      events.Predicate
		version   string
		only      string // the mode that can know it; empty: both
		people    string
	}{
		{recording: "terminated", database: target{"c7", "orders"}, kind: events.Terminated, version: "20260102000000",
			people: "MigrationTerminated the migration of c7/orders to 20260102000000 was ended, for its sync was terminated; what it had committed stays, " +
				"and the next run goes on there; sync the whole application argocd/c7"},
		{recording: "not-attempted-invalid-task", database: target{"t5", "orders"}, kind: events.Unattempted, version: "20260103000000",
			people: "MigrationNotAttempted the migration of t5/orders to 20260103000000 was not begun, for the sync of argocd/t5 failed before it: " +
				"one or more synchronization tasks are not valid; mend that, then sync again"},
		{recording: "i-two-databases", database: target{"i1", "audit"}, kind: events.Unattempted, version: "20260102000000",
			people: "failed before it: the Job schema-orders-20260102000000-51040794 failed before it; mend that, then sync again"},
		{recording: "c-vap-denied", database: target{"v1", "orders"}, kind: events.Blocked, version: "20260104000000",
			people: "MigrationBlocked the migration of v1/orders to 20260104000000 is held back: error updating application \"v1\": "},
		{recording: "c3-failed-then-unrelated-annotated", change: fixed, database: target{"c3", "orders"}, kind: events.Stuck, version: "20260102000000",
			people: "MigrationStuck the migration of c3/orders to 20260102000000 is not begun: Argo CD takes the commit for one that it has tried, " +
				"and will not sync it by itself; sync the whole application argocd/c3"},
		{recording: "terminated", change: heldUp, database: target{"c7", "orders"}, kind: events.Blocked, version: "20260102000000",
			people: "is held back: Sync operation blocked by sync window; wait until that lets it through, or sync the whole application argocd/c7"},
		{recording: "terminated", change: deletedByHand, database: target{"c7", "orders"}, kind: events.Deleted, version: "20260102000000", only: "jobs",
			people: "MigrationJobDeleted the Job of the migration of c7/orders to 20260102000000 was deleted before its result was seen, and Argo CD goes on " +
				"waiting for it; terminate the operation of argocd/c7, then sync the whole application"},
	} {
		for mode, o := range modes {
			if c.only != "" && c.only != mode {
				continue
			}
			t.Run(string(c.kind)+"/"+c.recording+"/"+mode, func(t *testing.T) {
				b, s := newBroker(t), newShelf(t, o)
				r := newReplica(t, s, o, b)
				told := make(chan string, 100)
				r.rec.people.recorder = &record.FakeRecorder{Events: told}
				rec := recording(t, c.recording)
				if c.change != nil {
					rec = c.change(rec)
				}
				for _, d := range rec {
					r.deliver(d)
					r.work()
				}
				state := b.slot(c.database.Environment, c.database.Database).state
				if at := state.Obstacle; at == nil || at.Kind != c.kind || at.Version != c.version || at.Since.IsZero() {
					t.Fatalf("%+v is in the way, want %s %s; history:\n%s", at, c.kind, c.version, strings.Join(b.history(), "\n"))
				}
				if v := state.Satisfies(c.version); v.Answer == events.Satisfied || !strings.Contains(v.Reason, state.Obstacle.Reason) {
					t.Errorf("who waits is told %v, %s", v.Answer, v.Reason)
				}
				before := len(b.log)
				next := newReplica(t, s, o, b)
				next.start()
				next.work()
				if len(b.log) != before {
					t.Errorf("after a start anew %q is told", b.history()[before:])
				}
				for _, r := range []*replica{r, next} {
					if got := scrape(t, r, "schemawave_migration_obstacle", c.database, string(c.kind)); got != 1 {
						t.Errorf("the metric is %v", got)
					}
				}
				var said []string
				for len(told) > 0 {
					if e := <-told; strings.Contains(e, state.Obstacle.Reason[:60]) {
						said = append(said, e)
					}
				}
				if len(said) != 1 || !strings.Contains(said[0], c.people) {
					t.Errorf("people were told %q, want %q", said, c.people)
				}
			})
		}
	}
}

// fixed has the last commit of the recording, of which Argo CD says that it has tried it, hold a migration that it has not.
func fixed(rec []delivery) []delivery {
	for i, d := range rec {
		a, ok := d.object.(*argo.Application)
		if !ok || a.Status.OperationState == nil || a.Status.OperationState.SyncResult == nil ||
			a.Status.Sync.Revision == a.Status.OperationState.SyncResult.Revision || !a.Status.OperationState.Phase.Completed() {
			continue
		}
		for k := range a.Status.Resources {
			r := &a.Status.Resources[k]
			r.Name = strings.Replace(r.Name, "51040794-marker", "d72c89df-marker", 1)
		}
		rec[i].object = a
	}
	return rec
}

// heldUp ends the recording where the second sync begins, and has a sync window hold it up.
func heldUp(rec []delivery) []delivery {
	at := slices.IndexFunc(rec, func(d delivery) bool { return isRunning(d, 0) })
	a := rec[at].object.(*argo.Application).DeepCopy()
	a.Status.OperationState.Message = heldByWindow
	rec[at].object = a
	return rec[:at+1]
}

// deletedByHand ends the recording where the hook of the second sync runs, and deletes its Job.
func deletedByHand(rec []delivery) []delivery {
	at := slices.IndexFunc(rec, func(d delivery) bool { return isRunning(d, 1) })
	for _, d := range slices.Backward(rec[:at+1]) {
		if j, ok := d.object.(*batchv1.Job); ok {
			return append(rec[:at+1:at+1], delivery{at: rec[at].at.Add(time.Second), object: j, deleted: true})
		}
	}
	return nil
}

// isRunning finds the Application in an operation that has this many results of Jobs.
func isRunning(d delivery, results int) bool {
	a, ok := d.object.(*argo.Application)
	if !ok || a.Status.OperationState == nil || a.Status.OperationState.Phase != common.OperationRunning || a.Status.Sync.Status != argo.SyncStatusCodeOutOfSync {
		return false
	}
	n := 0
	if s := a.Status.OperationState.SyncResult; s != nil {
		for _, r := range s.Resources {
			n += int(truth(r.Kind == "Job"))
		}
	}
	return n >= results
}

// TestTerminatedIsNotDeleted: the cache learns that the Job is gone before it learns that Argo CD has begun to terminate the operation.
func TestTerminatedIsNotDeleted(t *testing.T) {
	o, b := modes["jobs"], newBroker(t)
	s := newShelf(t, o)
	r := newReplica(t, s, o, b)
	rec := deletedByHand(recording(t, "terminated"))
	for i, d := range rec {
		if i == len(rec)-1 {
			a := rec[i-1].object.(*argo.Application).DeepCopy()
			a.Status.OperationState.Phase = common.OperationTerminating
			s.happen(delivery{object: a})
		}
		r.deliver(d)
		r.work()
	}
	if at := b.slot("c7", "orders").state.Obstacle; at != nil {
		t.Errorf("%+v is in the way", at)
	}
}

// TestDeletedJobThatArgoCDHolds: Argo CD 3 keeps a hook that is deleted until it has seen a result, which a Job then never has.
func TestDeletedJobThatArgoCDHolds(t *testing.T) {
	o, b := modes["jobs"], newBroker(t)
	s := newShelf(t, o)
	r := newReplica(t, s, o, b)
	rec := deletedByHand(recording(t, "terminated"))
	for i, d := range rec {
		if i == len(rec)-1 {
			j := d.object.(*batchv1.Job).DeepCopy()
			j.DeletionTimestamp, j.Finalizers = &metav1.Time{Time: minute(20)}, []string{hookFinalizer}
			d = delivery{object: j}
		}
		s.happen(d)
		r.deliver(d)
		r.work()
	}
	if at := b.slot("c7", "orders").state.Obstacle; at == nil || at.Kind != events.Deleted {
		t.Errorf("%+v is in the way", at)
	}
}

// TestCredentialsAreNotTold: who writes them into the address of a repository finds them in Argo CD's messages, and nowhere else.
func TestCredentialsAreNotTold(t *testing.T) {
	const address = "https://robot:s3cr3t@x@git.example/shop.git"
	commit := strings.Repeat("b", 40)
	for _, c := range []struct {
		name  string
		about func(*argo.Application)
	}{
		{"a sync that failed", func(a *argo.Application) {
			a.Status.OperationState.Phase = common.OperationError
			a.Status.OperationState.Message = "ComparisonError: `git fetch " + address + "` failed"
			a.Status.OperationState.SyncResult = &argo.SyncOperationResult{Revision: commit}
		}},
		{"a refusal", func(a *argo.Application) {
			a.Status.Conditions = []argo.ApplicationCondition{{
				Type: argo.ApplicationConditionSyncError, Message: refused + `"orders": '` + address + `' is denied`, LastTransitionTime: &metav1.Time{Time: minute(12)},
			}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "orders", Annotations: map[string]string{AnnotationEnvironment: "production"}}}
			a.Spec.Source = &argo.ApplicationSource{RepoURL: address}
			a.Status.Sync.Revision = commit
			a.Status.Resources = []argo.ResourceStatus{{Kind: "ConfigMap", Name: madeJob("2", 0).Key.Name + "-marker", Status: argo.SyncStatusCodeOutOfSync}}
			a.Status.OperationState = &argo.OperationState{
				Operation: argo.Operation{Sync: &argo.SyncOperation{}}, Phase: common.OperationSucceeded,
				StartedAt: metav1.NewTime(minute(10)), FinishedAt: &metav1.Time{Time: minute(11)}, SyncResult: &argo.SyncOperationResult{Revision: "old"},
			}
			c.about(a)
			view := newApplication(a, destination{})
			d := decide(observation{Target: orders, Applications: []application{view}, State: published("1")})
			if len(d.Publications) != 1 {
				t.Fatalf("%d facts are told", len(d.Publications))
			}
			told, err := json.Marshal([]any{d.Publications[0].State, d.Publications[0].Event, newExplanation(a, view)})
			if err != nil {
				t.Fatal(err)
			}
			if text := string(told); strings.Contains(text, "s3cr3t") || strings.Contains(text, "x@git") || !strings.Contains(d.Publications[0].Event.Reason, "https://git.example/shop.git") {
				t.Errorf("this is told: %s", text)
			}
		})
	}
}

// TestUnansweredSync has Argo CD overwrite what it knew of a hook that runs, in the words of 3.5 and of 2.14, because its cluster does not
// answer. That nothing was begun is not said then.
func TestUnansweredSync(t *testing.T) {
	for _, message := range []string{
		`failed to discover server resources for group version batch/v1: Get "https://10.87.0.2:6443/apis/batch/v1?timeout=32s": net/http: TLS handshake timeout`,
		`Get "https://10.87.0.2:6443/apis/batch/v1?timeout=32s": dial tcp 10.87.0.2:6443: connect: connection refused`,
	} {
		a := due("2", syncFailed("one or more synchronization tasks are not valid: "+message),
			withWord("2", "", message, withResult(func(r *result) { r.Status = "SyncFailed" })))
		d := decide(observation{Target: orders, Applications: []application{a}, State: published("1")})
		const want = "whether the migration of production/orders to 2 was begun is not known, "
		if len(d.Publications) != 1 || d.Publications[0].Event.Predicate != events.Unattempted || !strings.HasPrefix(d.Publications[0].Event.Reason, want) {
			t.Errorf("of %q is told: %+v", message, d.Publications)
		}
	}
}
