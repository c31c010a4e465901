package controller

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// simWorld is git, Argo CD, the kubelet and the databases: what really happens. Its Applications and Jobs look as in
// testdata/recordings, and go through the same steps.
type simWorld struct {
	home   *simServer // of the Applications
	far    *simServer // of another cluster that some of them deploy to
	secret int        // counts the Secrets of that cluster that there were
	known  bool       // there is one
	clock  time.Time
	ids    int
	apps   []*simApp
	runs   []*simRun
	ledger map[target]migrations.Version // what each database really holds
	// windows are those of the one project: none, or one that is closed to all.
	windows argo.SyncWindows

	collected func(*simRun)               // before the controller deletes a Job
	healed    func(*simApp, change) error // when the controller asks for a sync
}

// simSet is what a commit holds of one database's migrations.
type simSet struct {
	database string
	version  string
	fix      int // counts its corrections
	digest   string
	broken   bool // its SQL is wrong: it fails whenever it is run
}

type simCommit struct {
	sha  string
	dry  string   // from which it was hydrated, if its Application is
	sets []simSet // in the order of their waves
}

// holds reports whether a commit holds the migration that was tried.
func (c simCommit) holds(a *events.Attempt) bool {
	return slices.ContainsFunc(c.sets, func(s simSet) bool { return sameDigest(s.digest, a.Digest) })
}

// simApp is an Application and what Argo CD knows of it.
type simApp struct {
	world  *simWorld
	object *argo.Application
	server *simServer // of the cluster that it deploys to
	git    []simCommit
	placed map[string]simSet // the markers in the cluster, by database
	op     *simOperation     // in progress
	ops    []*simOperation
	stuck  []string // revisions of which Argo CD has said that it tried them, which need not be so
	modern bool     // Argo CD 3.3 and later
	plain  bool     // its migrations are no hooks, but plain Jobs in an early wave of the Sync phase
	chart  string   // the revision of its other source, if it has several
	looks  []simLook
	opened time.Time // when the sync window that kept it from syncing opened; zero while none ever has
}

// simLook is what Argo CD saw when it compared.
type simLook struct {
	at       time.Time
	revision string
}

// simOperation is a sync.
type simOperation struct {
	app     *simApp
	commit  simCommit
	partial []string // the databases whose markers are synced, and nothing else
	apply   bool
	started time.Time
	stage   int // before the sets
	set     int // the set whose hook is due
	run     *simRun
	retries int
	invalid bool
	early   bool // what has an earlier wave than the Jobs is refused
	late    bool // what has a later one is
	held    bool // ever, by a sync window
	window  bool // now
	stale   bool // a retry that only deletes the old Job
	ending  bool
	by      argo.OperationInitiator

	ended      time.Time
	failed     bool
	terminated bool
}

// simRun is one Job.
type simRun struct {
	op       *simOperation
	set      simSet
	target   target
	job      *batchv1.Job
	pod      *corev1.Pod
	stage    int
	outcome  events.Outcome // once its condition says so
	reported bool           // its Pod has left a report
	done     bool           // its migrations are in the database
	advanced bool           // and were not there before
	ended    time.Time
	gone     bool
	byHand   bool
}

func (w *simWorld) now() metav1.Time { return metav1.NewTime(w.clock.Truncate(time.Second)) }

func (w *simWorld) id() string {
	w.ids++
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, w.ids)))[:40]
}

func newSimWorld(rnd *rand.Rand) *simWorld {
	s := newSimServer()
	w := &simWorld{home: s, far: newSimServer(), secret: 1, known: true, clock: minute(0), ledger: map[target]migrations.Version{}}
	s.projects = func() argo.SyncWindows { return w.windows }
	s.patched = func(key string, c change) error {
		for _, a := range w.apps {
			if simKey(a.object) == key {
				return w.healed(a, c)
			}
		}
		return nil
	}
	s.deleted = func(obj client.Object) {
		for _, r := range w.runs {
			if r.job.UID == obj.GetUID() && !r.gone {
				w.collected(r)
				w.remove(r, false)
			}
		}
	}
	w.far.deleted = s.deleted
	for i := range 1 + rnd.IntN(2) {
		name := fmt.Sprintf("shop%d", i)
		a := &simApp{world: w, server: s, placed: map[string]simSet{}, modern: rnd.IntN(2) == 0, object: &argo.Application{
			ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: name, UID: types.UID(name)},
			Spec:       argo.ApplicationSpec{Destination: argo.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: name}},
		}}
		a.plain = rnd.IntN(4) == 0
		if rnd.IntN(3) > 0 {
			a.object.Spec.SyncPolicy = &argo.SyncPolicy{Automated: &argo.SyncPolicyAutomated{Prune: true}}
		}
		if rnd.IntN(2) == 0 {
			a.deployFar(rnd, i > 0 && w.apps[0].server == s)
		}
		c := simCommit{sha: w.id()}
		switch rnd.IntN(4) {
		case 0:
			a.chart = w.id()
		case 1:
			hydrateFrom(a.object)
			c.dry = w.id()
		}
		for k := range 1 + rnd.IntN(2) {
			c.sets = append(c.sets, newSimSet([]string{"orders", "audit"}[k], "", 0))
		}
		a.git = []simCommit{c}
		w.apps = append(w.apps, a)
		a.refresh(0)
	}
	return w
}

// deployFar has an Application deploy to the other cluster, there perhaps to a namespace that bears the name of another Application's here.
func (a *simApp) deployFar(rnd *rand.Rand, shared bool) {
	d := &a.object.Spec.Destination
	a.server = a.world.far
	if d.Server = farServer; rnd.IntN(2) == 0 {
		d.Server, d.Name = "", farName
	}
	if shared && rnd.IntN(2) == 0 {
		d.Namespace = a.world.apps[0].object.Spec.Destination.Namespace
	}
	if d.Namespace != a.object.Name || rnd.IntN(2) == 0 {
		a.object.Annotations = map[string]string{AnnotationEnvironment: a.object.Name}
	}
}

// newSimSet is the next version of a database's migrations. Every Application comes by the same.
func newSimSet(database, after string, broken int) simSet {
	n := 20260101000000
	if after != "" {
		if _, err := fmt.Sscan(after, &n); err != nil {
			panic(err)
		}
		n++
	}
	return simSet{database: database, version: fmt.Sprint(n), broken: broken == 1}.sum()
}

// corrected is the same version with its SQL put right.
func (s simSet) corrected() simSet {
	return simSet{database: s.database, version: s.version, fix: s.fix + 1}.sum()
}

func (s simSet) sum() simSet {
	s.digest = digest(fmt.Sprint(s))
	return s
}

func (s simSet) jobName() string    { return manifests.ObjectName(s.database, s.version, s.digest) }
func (s simSet) markerName() string { return s.jobName() + "-marker" }

func (a *simApp) target(s simSet) target {
	return target{a.object.Name, s.database}
}
func (a *simApp) head() simCommit { return a.git[len(a.git)-1] }
func (a *simApp) show()           { a.world.home.put(a.object) }

// revisions are how an Application's status names a commit.
func (a *simApp) revisions(c simCommit) (one string, several []string) {
	if a.chart == "" {
		return c.sha, nil
	}
	return "", []string{c.sha, a.chart}
}

func (a *simApp) revision(c simCommit) string { return revision(a.revisions(c)) }

// suspend has Argo CD leave an Application alone, or take it up again.
func (a *simApp) suspend() {
	if a.suspended() {
		delete(a.object.Annotations, skipReconcile)
	} else {
		metav1.SetMetaDataAnnotation(&a.object.ObjectMeta, skipReconcile, "true")
	}
	a.show()
}

func (a *simApp) suspended() bool { return a.object.Annotations[skipReconcile] != "" }

// shut closes a sync window to everything, or opens it.
func (w *simWorld) shut() {
	if w.windows == nil {
		w.windows = argo.SyncWindows{{Kind: "deny", Schedule: "* * * * *", Duration: "24h", Applications: []string{"*"}}}
		return
	}
	w.windows = nil
	for _, a := range w.apps {
		a.opened = w.clock
	}
}

// push commits: something else, the next version of a database, or a correction of the newest.
func (a *simApp) push(rnd *rand.Rand) {
	c := simCommit{sha: a.world.id(), sets: slices.Clone(a.head().sets)}
	if a.head().dry != "" {
		c.dry = a.world.id()
	}
	if i := rnd.IntN(len(c.sets) + 1); i < len(c.sets) {
		s := c.sets[i]
		if s.broken && rnd.IntN(2) == 0 {
			c.sets[i] = s.corrected()
		} else {
			c.sets[i] = newSimSet(s.database, s.version, rnd.IntN(3))
		}
	}
	a.git = append(a.git, c)
}

// refresh compares git and cluster. Now and then Argo CD takes a new commit for one that it has tried.
func (a *simApp) refresh(stick int) {
	s := &a.object.Status
	s.Sync = argo.SyncStatus{Status: argo.SyncStatusCodeSynced}
	s.Sync.Revision, s.Sync.Revisions = a.revisions(a.head())
	if a.head().dry != "" {
		s.SourceHydrator.LastSuccessfulOperation = &argo.SuccessfulHydrateOperation{DrySHA: a.head().dry, HydratedSHA: a.head().sha}
	}
	a.looks = append(a.looks, simLook{a.world.clock, a.revision(a.head())})
	s.Resources, s.Conditions = nil, nil
	add := func(kind, name string, r argo.ResourceStatus) {
		r.Kind, r.Namespace, r.Name = kind, a.object.Spec.Destination.Namespace, name
		if kind == "Job" {
			r.Group = "batch"
		}
		s.Resources = append(s.Resources, r)
	}
	for _, set := range a.head().sets {
		there := a.placed[set.database]
		status := argo.SyncStatusCodeSynced
		if there != set {
			status, s.Sync.Status = argo.SyncStatusCodeOutOfSync, argo.SyncStatusCodeOutOfSync
			if there.version != "" {
				add("ConfigMap", there.markerName(), argo.ResourceStatus{Status: argo.SyncStatusCodeOutOfSync, RequiresPruning: true})
			}
		}
		add("ConfigMap", set.markerName(), argo.ResourceStatus{Status: status})
	}
	for _, r := range a.world.runs {
		if r.op.app == a && !r.gone {
			add("Job", r.job.Name, argo.ResourceStatus{Hook: !a.plain, RequiresPruning: !a.plain || !slices.Contains(a.head().sets, r.set)})
		}
	}
	if o := a.last(); o != nil && a.op == nil && o.failed && s.Sync.Status == argo.SyncStatusCodeOutOfSync {
		if o.commit.sha == a.head().sha || stick == 1 {
			now := a.world.now()
			s.Conditions = []argo.ApplicationCondition{{
				Type: argo.ApplicationConditionSyncError, LastTransitionTime: &now, Message: tried + s.Sync.Revision + ": one or more tasks failed",
			}}
			a.stuck = append(a.stuck, a.revision(a.head()))
		}
	}
	a.show()
}

func (a *simApp) last() *simOperation {
	if len(a.ops) == 0 {
		return nil
	}
	return a.ops[len(a.ops)-1]
}

// begin asks for an operation, if there is none. The one before is no longer shown.
func (a *simApp) begin(o *simOperation) {
	if a.op != nil {
		return
	}
	a.world.clock = a.world.clock.Add(time.Second)
	o.app, o.started = a, a.world.now().Time
	a.op, a.ops = o, append(a.ops, o)
	a.object.Operation = &argo.Operation{}
	a.object.Status.OperationState = nil
	a.show()
}

// sync begins a full sync: of what is newest, now and then of an older commit that somebody asks for.
func (a *simApp) sync(rnd *rand.Rand) {
	commit := a.head()
	if rnd.IntN(8) == 0 {
		commit = a.git[rnd.IntN(len(a.git))]
	}
	a.begin(&simOperation{commit: commit, by: initiatedBy(rnd), retries: rnd.IntN(3), invalid: rnd.IntN(12) == 0, window: rnd.IntN(12) == 0,
		early: a.plain && rnd.IntN(12) == 0, late: rnd.IntN(12) == 0})
}

// initiatedBy is Argo CD itself, or a person.
func initiatedBy(rnd *rand.Rand) argo.OperationInitiator {
	if rnd.IntN(4) == 0 {
		return argo.OperationInitiator{Username: "admin"}
	}
	return argo.OperationInitiator{Automated: true}
}

func (a *simApp) selfHeal(rnd *rand.Rand) {
	o := &simOperation{commit: a.head(), by: initiatedBy(rnd)}
	for _, s := range o.commit.sets {
		if a.placed[s.database] != s {
			o.partial = append(o.partial, s.database)
		}
	}
	if len(o.partial) > 0 {
		a.begin(o)
	}
}

func (a *simApp) rollback(rnd *rand.Rand) {
	a.begin(&simOperation{commit: a.git[rnd.IntN(len(a.git))], apply: true, by: argo.OperationInitiator{Username: "admin"}})
}

func (a *simApp) terminate() {
	if o := a.op; o != nil && o.stage > 0 && !o.ending {
		o.ending = true
		a.object.Status.OperationState.Phase = common.OperationTerminating
		a.show()
	}
}

// tick takes an operation one step further, and plain Jobs that one has left behind.
func (a *simApp) tick(rnd *rand.Rand) {
	o := a.op
	for _, r := range a.world.runs {
		if a.plain && r.op.app == a && r.op != o && !r.gone && r.outcome == "" {
			r.step(rnd)
		}
	}
	if o == nil {
		return
	}
	s := a.object.Status.OperationState
	switch {
	case o.stage == 0: // it is begun
		sync := &argo.SyncOperation{}
		sync.Revision, sync.Revisions = a.revisions(o.commit)
		for _, d := range o.partial {
			sync.Resources = append(sync.Resources, argo.SyncOperationResource{Kind: "ConfigMap", Name: a.setOf(o, d).markerName()})
		}
		if o.apply {
			sync.SyncStrategy = &argo.SyncStrategy{Apply: &argo.SyncStrategyApply{}}
		}
		a.object.Status.OperationState = &argo.OperationState{
			Phase: common.OperationRunning, StartedAt: metav1.NewTime(o.started), Operation: argo.Operation{Sync: sync, InitiatedBy: o.by},
		}
		o.stage++
		a.show()
	case o.ending:
		o.terminate()
	case o.window:
		o.held, o.window = true, rnd.IntN(3) > 0
		s.Message = heldByWindow
		a.show()
	case o.stage == 1: // its tasks are known
		o.stage++
		s.Message = "one or more tasks are running"
		s.SyncResult = &argo.SyncOperationResult{}
		s.SyncResult.Revision, s.SyncResult.Revisions = a.revisions(o.commit)
		if o.invalid {
			o.finish(common.OperationFailed, "one or more synchronization tasks are not valid")
			return
		}
		a.show()
	case s.FinishedAt != nil: // between two retries
		s.FinishedAt = nil
		o.set, o.run = 0, nil
		o.stale = !a.plain && a.world.there(a, a.first(o)) != nil && !o.stale
		if o.stale { // this retry deletes the old Job, and fails at what is still said of it
			a.world.remove(a.world.there(a, a.first(o)), false)
		}
		a.show()
	case o.stale:
		o.fail()
	case o.early && o.set == 0 && o.run == nil:
		o.fail()
	case o.set < len(o.due()):
		o.hook(rnd)
	default:
		o.place()
	}
}

func (a *simApp) first(o *simOperation) simSet {
	for _, r := range a.object.Status.OperationState.SyncResult.Resources {
		if r.HookPhase == common.OperationFailed {
			for _, s := range o.commit.sets {
				if s.jobName() == r.Name {
					return s
				}
			}
		}
	}
	return o.commit.sets[0]
}

func (a *simApp) setOf(o *simOperation, database string) simSet {
	return o.commit.sets[slices.IndexFunc(o.commit.sets, func(s simSet) bool { return s.database == database })]
}

func (o *simOperation) skips() bool { return !o.app.plain && (o.apply || o.partial != nil) }

// due are the sets whose Jobs it runs.
func (o *simOperation) due() []simSet {
	if o.skips() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(o.commit.sets), func(s simSet) bool { return o.partial != nil && !slices.Contains(o.partial, s.database) })
}

// say puts a line into the sync's results.
func (o *simOperation) say(r argo.ResourceResult) {
	r.Namespace = o.app.object.Spec.Destination.Namespace
	all := &o.app.object.Status.OperationState.SyncResult.Resources
	// What was shown before keeps what it said.
	next := slices.DeleteFunc(slices.Clone(*all), func(old *argo.ResourceResult) bool { return old.Kind == r.Kind && old.Name == r.Name })
	*all = append(next, &r)
}

func (o *simOperation) sayHook(s simSet, status common.ResultCode, phase common.OperationPhase, message string) {
	r := argo.ResourceResult{Group: "batch", Kind: "Job", Name: s.jobName(), HookType: common.HookTypePreSync, Status: status, HookPhase: phase, Message: message}
	if o.app.plain {
		r.HookType, r.Status = "", common.ResultCodeSynced
	}
	o.say(r)
}

// hook makes the Job of the set that is due, waits for it, and passes on how it ended.
func (o *simOperation) hook(rnd *rand.Rand) {
	w, s := o.app.world, o.due()[o.set]
	switch r := o.run; {
	case r == nil:
		made := "job.batch/" + s.jobName() + " created"
		if old := w.there(o.app, s); old != nil {
			w.remove(old, false)
			if !o.app.plain { // BeforeHookCreation
				return
			}
			made = "job.batch \"" + s.jobName() + "\" deleted\njob.batch/" + s.jobName() + " replaced" // Force=true,Replace=true
		}
		o.run = w.makeJob(o, s)
		o.sayHook(s, common.ResultCodeSynced, common.OperationRunning, made)
		o.app.object.Status.OperationState.Message = "waiting for completion of hook batch/Job/" + s.jobName()
		o.app.show()
	case r.gone: // it waits for ever
	case r.outcome == "":
		r.step(rnd)
	case r.outcome == events.OutcomeSucceeded:
		o.sayHook(s, "", common.OperationSucceeded, reached)
		o.set, o.run = o.set+1, nil
		o.app.show()
	default:
		o.sayHook(s, "", common.OperationFailed, r.job.Status.Conditions[0].Message)
		o.fail()
	}
}

// fail ends a try.
func (o *simOperation) fail() {
	const message = "one or more synchronization tasks completed unsuccessfully"
	if o.retries == 0 {
		o.finish(common.OperationFailed, message)
		return
	}
	o.retries--
	now := o.app.world.now()
	s := o.app.object.Status.OperationState
	s.FinishedAt, s.Message = &now, message+". Retrying attempt"
	s.RetryCount++
	o.run = nil
	o.app.show()
}

// place applies the markers, and with them all that is no hook.
func (o *simOperation) place() {
	for _, s := range o.commit.sets {
		if o.partial != nil && !slices.Contains(o.partial, s.database) {
			continue
		}
		if old, ok := o.app.placed[s.database]; ok && old != s {
			o.say(argo.ResourceResult{Kind: "ConfigMap", Name: old.markerName(), Status: common.ResultCodePruned, HookPhase: common.OperationSucceeded, Message: "pruned"})
		}
		o.app.placed[s.database] = s
		o.say(argo.ResourceResult{Kind: "ConfigMap", Name: s.markerName(), Status: common.ResultCodeSynced, HookPhase: common.OperationRunning, Message: "configmap/x created"})
	}
	if o.late {
		o.fail()
		return
	}
	for _, r := range o.app.world.runs { // PruneLast=true
		if o.app.plain && o.partial == nil && r.op.app == o.app && !r.gone && !slices.Contains(o.commit.sets, r.set) {
			o.app.world.remove(r, false)
			o.say(argo.ResourceResult{Group: "batch", Kind: "Job", Name: r.job.Name, Status: common.ResultCodePruned, HookPhase: common.OperationSucceeded, Message: "pruned"})
		}
	}
	if o.partial == nil {
		started := metav1.NewTime(o.started)
		one, several := o.app.revisions(o.commit)
		o.app.object.Status.History = append(o.app.object.Status.History, argo.RevisionHistory{
			Revision: one, Revisions: several, DeployedAt: o.app.world.now(), DeployStartedAt: &started,
		})
	}
	o.finish(common.OperationSucceeded, "successfully synced (all tasks run)")
}

func (o *simOperation) finish(phase common.OperationPhase, message string) {
	a, now := o.app, o.app.world.now()
	s := a.object.Status.OperationState
	s.Phase, s.FinishedAt, s.Message = phase, &now, message
	o.ended, o.failed = now.Time, phase != common.OperationSucceeded
	a.object.Operation, a.op = nil, nil
	a.show()
}

// terminate deletes the hook that runs, but no plain Job. Up to 3.2 Argo CD says that it succeeded.
func (o *simOperation) terminate() {
	if r := o.run; r != nil && !o.app.plain {
		o.terminated = true
		if o.app.object.Status.OperationState.FinishedAt == nil {
			phase, message := common.OperationSucceeded, deleted
			if o.app.modern && !r.gone {
				phase, message = common.OperationFailed, terminated
			}
			o.sayHook(r.set, "", phase, message)
		}
		if !r.gone {
			o.app.world.remove(r, false)
		}
	}
	o.finish(common.OperationFailed, "Operation terminated")
}

// there is the Job in the cluster that bears a set's name.
func (w *simWorld) there(a *simApp, s simSet) *simRun {
	for _, r := range w.runs {
		if r.op.app == a && !r.gone && r.set == s {
			return r
		}
	}
	return nil
}

func (w *simWorld) remove(r *simRun, byHand bool) {
	r.gone, r.byHand = true, byHand
	r.op.app.server.drop(r.job)
	if r.pod != nil {
		r.op.app.server.drop(r.pod)
	}
}

func (w *simWorld) makeJob(o *simOperation, s simSet) *simRun {
	r := &simRun{op: o, set: s, target: o.app.target(s)}
	r.job = &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Namespace: o.app.object.Spec.Destination.Namespace, Name: s.jobName(), UID: types.UID(fmt.Sprint("run-", len(w.runs))), CreationTimestamp: w.now(),
		Labels: map[string]string{
			manifests.LabelManagedBy: manifests.ManagedBy, manifests.LabelDatabase: s.database, manifests.LabelEnvironment: r.target.Environment,
			manifests.LabelComponent: string(manifests.ComponentMigration), labelInstance: o.app.object.Name,
		},
		Annotations: map[string]string{
			annotationHook: "PreSync", manifests.AnnotationVersion: s.version, manifests.AnnotationDigest: s.digest,
		},
	}}
	if o.app.plain {
		delete(r.job.Annotations, annotationHook)
	}
	w.runs = append(w.runs, r)
	r.op.app.server.put(r.job)
	return r
}

// step takes a Job one step further: its Pod, the database, the Pod's end, the Job's end.
func (r *simRun) step(rnd *rand.Rand) {
	w := r.op.app.world
	now := w.now()
	r.stage++
	switch r.stage {
	case 1:
		r.job.Status.StartTime = &now
		r.op.app.server.put(r.job)
		r.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: r.job.Namespace, Name: "pod-" + string(r.job.UID), UID: "pod-" + r.job.UID, Labels: r.job.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r.job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
		r.op.app.server.put(r.pod)
	case 2:
		r.endPod(rnd)
	case 3:
		c := batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: now, Message: reached}
		r.outcome, r.ended = events.OutcomeSucceeded, now.Time
		if !r.done {
			r.outcome = events.OutcomeFailed
			c.Type, c.Reason, c.Message = batchv1.JobFailed, batchv1.JobReasonBackoffLimitExceeded, backoff
			if r.set.broken {
				c.Reason, c.Message = batchv1.JobReasonPodFailurePolicy, "Container migrate for pod x failed with exit code 65 matching FailJob rule at index 1"
			}
		} else {
			r.job.Status.CompletionTime = &now
		}
		r.job.Status.Conditions = []batchv1.JobCondition{c}
		r.op.app.server.put(r.job)
	}
}

// endPod ends the migration: it is in the database, or it is not.
func (r *simRun) endPod(rnd *rand.Rand) {
	w := r.op.app.world
	now, from := w.now(), w.ledger[r.target]
	report := migrations.Report{
		Format: migrations.ReportFormat, Database: r.target.Database, Environment: r.target.Environment, Digest: r.set.digest,
		Target: migrations.Version(r.set.version), From: from, To: from, Run: string(r.job.UID), Finished: now.Time,
	}
	switch order := from.Compare(migrations.Version(r.set.version)); {
	case order > 0:
		r.done, report.Outcome = true, migrations.OutcomeAhead
	case r.set.broken || rnd.IntN(6) == 0:
		code := migrations.ExitRejected
		if !r.set.broken {
			code = migrations.ExitBusy
		}
		report.Outcome = migrations.OutcomeFailed
		report.Failure = &migrations.Failure{Code: code, Permanent: r.set.broken, Message: "it does not work"}
	case order == 0:
		r.done, report.Outcome = true, migrations.OutcomeCurrent
	default:
		r.done, r.advanced, report.Outcome = true, true, migrations.OutcomeSucceeded
		report.To = migrations.Version(r.set.version)
		report.Applied = []migrations.Version{report.To}
		w.ledger[r.target] = report.To
	}
	ended := &corev1.ContainerStateTerminated{FinishedAt: now}
	if rnd.IntN(4) > 0 { // the kubelet may have been killed
		if text, err := report.Encode(); err == nil {
			ended.Message, r.reported = string(text), true
		}
	}
	r.pod.Status = corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: ended}}}}
	if r.done {
		r.pod.Status.Phase = corev1.PodSucceeded
	}
	r.op.app.server.put(r.pod)
}
