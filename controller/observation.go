package controller

import (
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// target names one database in one environment. It is what one pass decides about, and the key of the work queue.
type target struct{ Environment, Database string }

// String is environment/database; neither part can hold a slash where it comes from a label or a namespace.
func (t target) String() string { return t.Environment + "/" + t.Database }

// observation is all that one pass knows about one database. It need not be complete, nor of one moment.
type observation struct {
	Target       target
	Jobs         []job         // its migration Jobs, those that are gone included
	Applications []application // those that carry its Jobs, or carried them in an operation that is over
	State        events.State  // as published; only the names are set if nothing is
	Revision     uint64        // of State; 0 if nothing is published
	Again        time.Duration // after which to look again although nothing may have happened; zero: never
}

// gone reports whether nothing is left of the database but its state.
func (o observation) gone() bool { return len(o.Jobs) == 0 && len(o.Applications) == 0 }

// job is a migration Job together with what its Pods left behind.
type job struct {
	Cluster string // as of a destination
	Key     types.NamespacedName
	UID     types.UID
	Version migrations.Version // newest of the migration set it carries; empty if its migrations are in an image
	Digest  string             // of that set, or of the image and what is done with it, "sha256:…"
	// MinCompatible is the oldest version whose readers still work; empty if the Job does not say.
	MinCompatible migrations.Version
	Hook          bool // an Argo CD hook, which no prune will ever remove
	Instance      string
	Created       time.Time
	Started       time.Time // zero until the Job's first Pod is made
	Ended         time.Time // set once Phase is complete or failed
	Phase         jobPhase
	Reason        string // of the Failed condition
	Message       string // of the Failed condition
	Deleting      bool   // somebody asked for its deletion
	Gone          bool   // it is no longer in the cluster
	Pods          []pod
}

// jobPhase is how far a Job is. The zero value is a Job that has not started.
type jobPhase string

const (
	jobPending  jobPhase = ""
	jobRunning  jobPhase = "running"
	jobEnding   jobPhase = "ending" // its outcome is decided, its Pods are still ending
	jobComplete jobPhase = "complete"
	jobFailed   jobPhase = "failed"
)

// finished reports whether nothing about the Job's outcome will change any more.
func (j job) finished() bool { return j.Phase == jobComplete || j.Phase == jobFailed }

// pod is what matters of one of a Job's Pods.
type pod struct {
	UID       types.UID
	Ended     bool // no container runs, nor will
	Succeeded bool
	Deleting  bool // somebody asked for its deletion
	EndedAt   time.Time
	Report    *migrations.Report // nil if it left none
}

// application is an Argo CD Application as far as it says something about migrations.
type application struct {
	Key         types.NamespacedName
	Environment string            // of the databases it migrates: its annotation, else the namespace it deploys to
	Namespace   string            // that it deploys to
	Named       bool              // the environment is that of its annotation
	Told        map[string]string // the environments of databases whose Jobs in its namespace have named them
	To          argo.ApplicationDestination
	Cluster     string // that it deploys to, as of a destination; its results and markers are there
	Readable    bool   // the Jobs of that cluster are watched
	Awaited     bool   // whether they are will be known in a moment
	Operations  []operation
	History     []deployment
	Compared    string      // the revision that it was last compared with; several sources give several, joined by commas
	Hydrated    hydration   // the last one; zero if its source is not hydrated
	Hydrations  []hydration // those that were seen, oldest first
	Held        []marker    // markers and guards of that revision
	Wanted      []marker    // markers and guards of that revision that are still to be applied
	Asked       bool        // an operation is asked for, or in progress
	Refusal     refusal
	Stalled     time.Time // since when it has waited in vain to be synced; zero: it has not, or not for long
	Shut        bool      // a sync window is why
}

// refusal is why Argo CD does not sync an Application by itself, in its own words; empty if it has said nothing.
type refusal struct {
	Message string
	Since   time.Time
}

// operation is one sync. Argo CD shows one at a time; those before it were captured as they passed by.
type operation struct {
	Started  time.Time
	Finished time.Time // zero while it runs, between two retries too
	Tried    time.Time // between two retries: when the last try ended
	Retried  bool      // it has been tried more than once
	Ending   bool      // it is being terminated
	Failed   bool      // it is over, and so that its results are known
	Message  string    // of its end, or of what it waits for
	Past     bool      // another operation has taken its place; its end may be unknown
	Next     time.Time // when the next operation of the Application began that is known; zero if none is
	Revision string    // what is synced, never what is merely newest in git; several sources give several, joined by commas
	Results  []result
	Partial  bool // only some of the resources are synced: Argo CD then runs no hooks
	Applied  bool // the strategy is apply, as in a rollback: nor then
	Markers  []marker
}

func (o operation) running() bool { return o.Finished.IsZero() && !o.Past }

// ended is when the try ended of which the results tell; zero while that is not known.
func (o operation) ended() time.Time {
	if o.Finished.IsZero() {
		return o.Tried
	}
	return o.Finished
}

// stale reports whether a failure may be that of an earlier try than the one in progress. Argo CD leaves it there until the Job is made anew.
func (o operation) stale(r result) bool {
	return r.Phase == "Failed" && o.Retried && o.ended().IsZero()
}

// result is Argo CD's word on one migration Job of one operation.
type result struct {
	Key     types.NamespacedName // of the Job, in the Application's cluster
	Name    manifests.Name
	Hook    bool   // a hook, which each sync makes anew; what is said of a plain Job may be about an earlier sync
	Status  string // of applying it: "" for a hook, "Synced", "Pruned", "SyncFailed"…
	Phase   string // "Running", "Succeeded", "Failed", "Error"
	Message string
	// Readable says that the Job could be read if it existed, HasJob that it does, and speaks for itself.
	Readable, HasJob bool
	// Other is a Job of this name that cannot be the one that is meant, for its own end was another.
	Other types.UID
	// Lost says that the Job is not there, or is being deleted and only held by Argo CD, although its operation goes on waiting for it,
	// by the word of the API server itself: a cache may learn of the two in any order.
	Lost bool
}

// marker is a marker that an operation has put into the cluster, or a guard that failed in it. One that succeeded found the migration.
type marker struct {
	Key  types.NamespacedName
	Name manifests.Name
}

// last is the operation that Argo CD shows. It reports false if there is none.
func (a application) last() (operation, bool) {
	for _, o := range a.Operations {
		if !o.Past {
			return o, true
		}
	}
	return operation{}, false
}

// deployment is one entry of an Application's history: a full sync that succeeded.
type deployment struct {
	Revision string
	From, To time.Time
}
