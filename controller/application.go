package controller

import (
	"regexp"
	"strings"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/manifests"
)

// AnnotationEnvironment on an Application names the environment of the databases it migrates, for a controller that can
// read no Jobs. Without it the namespace that the Application deploys to is taken.
const AnnotationEnvironment = "schemawave.dev/environment"

// newApplication reads an Application that deploys to a cluster.
func newApplication(a *argo.Application, to destination) application {
	d := a.Spec.Destination
	out := application{
		Key:         types.NamespacedName{Namespace: a.Namespace, Name: a.Name},
		Environment: a.Annotations[AnnotationEnvironment],
		Namespace:   d.Namespace,
		Named:       a.Annotations[AnnotationEnvironment] != "",
		To:          d,
		Compared:    revision(a.Status.Sync.Revision, a.Status.Sync.Revisions),
		Held:        carried(a),
		Wanted:      wanted(a),
		Asked:       a.Operation != nil,
	}
	if h := a.Status.SourceHydrator.LastSuccessfulOperation; h != nil {
		out.Hydrated = hydration{Commit: h.HydratedSHA, From: h.DrySHA}
	}
	for _, c := range a.Status.Conditions {
		if c.Type == argo.ApplicationConditionSyncError {
			out.Refusal.Message = withoutCredentials(c.Message)
			if c.LastTransitionTime != nil {
				out.Refusal.Since = c.LastTransitionTime.UTC()
			}
		}
	}
	if out.Environment == "" {
		out.Environment = d.Namespace
	}
	if o, ok := newOperation(a.Status.OperationState); ok {
		out.Operations = []operation{o}
	}
	for _, h := range a.Status.History {
		if h.DeployStartedAt != nil {
			out.History = append(out.History, deployment{
				Revision: revision(h.Revision, h.Revisions), From: h.DeployStartedAt.UTC(), To: h.DeployedAt.UTC(),
			})
		}
	}
	out.locate(to)
	return out
}

// locate says in which cluster the results are, and which of their Jobs can be read there. It may be otherwise a moment later.
func (a *application) locate(to destination) {
	a.Cluster, a.Readable, a.Awaited, a.Told = to.Cluster, to.reads(""), to.Awaited, to.environments
	for _, o := range a.Operations {
		for i, r := range o.Results {
			o.Results[i].Readable = to.reads(r.Key.Namespace)
		}
	}
}

// newOperation reads the one slot in which Argo CD shows an operation. Between two retries it stays Running and has an end
// all the same, so the phase decides whether it is over. Without a syncResult it has no results, whatever its phase says. A dry run has
// synced no revision and has none either: it lists what it would have applied as if it had been (gitops-engine, pkg/sync: processCreateTasks).
func newOperation(s *argo.OperationState) (operation, bool) {
	if s == nil {
		return operation{}, false
	}
	out := operation{Started: s.StartedAt.UTC(), Ending: s.Phase == common.OperationTerminating, Retried: s.RetryCount > 0, Message: withoutCredentials(s.Message)}
	switch {
	case s.Phase.Completed() && s.FinishedAt == nil:
		out.Finished = out.Started
	case s.Phase.Completed():
		out.Finished = s.FinishedAt.UTC()
	case s.FinishedAt != nil:
		out.Tried = s.FinishedAt.UTC()
	}
	if s.Operation.Sync != nil && s.Operation.Sync.DryRun {
		return out, true
	}
	if s.Operation.Sync != nil {
		out.Revision = commits(s.Operation.Sync.Revision, s.Operation.Sync.Revisions)
		out.Partial = len(s.Operation.Sync.Resources) > 0
		out.Applied = s.Operation.Sync.SyncStrategy != nil && s.Operation.Sync.SyncStrategy.Apply != nil
	}
	if s.SyncResult == nil {
		return out, true
	}
	out.Failed = s.Phase.Failed() || s.Phase == common.OperationError
	if r := revision(s.SyncResult.Revision, s.SyncResult.Revisions); r != "" {
		out.Revision = r
	}
	for _, r := range s.SyncResult.Resources {
		key := types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
		if n, ok := migrationName(r.Name); ok && r.Group == "batch" && r.Kind == "Job" {
			out.Results = append(out.Results, result{
				Key: key, Name: n, Hook: r.HookType != "", Status: string(r.Status), Phase: string(r.HookPhase), Message: r.Message,
			})
		}
		n, ok := manifests.ParseName(r.Name)
		failed := r.HookPhase == common.OperationFailed
		if ok && r.Status == common.ResultCodeSynced && (n.Marker && r.Kind == "ConfigMap" || n.Guard && failed) {
			out.Markers = append(out.Markers, marker{Key: key, Name: n})
		}
	}
	return out, true
}

// credentials are those that somebody has written into the address of a repository, from which Argo CD quotes it.
var credentials = regexp.MustCompile(`://[^/\s'"]+@`)

func withoutCredentials(text string) string { return credentials.ReplaceAllLiteralString(text, "://") }

// carried lists the markers and guards that an Application's commit holds; none once it is being deleted.
func carried(a *argo.Application) []marker {
	var out []marker
	for _, r := range a.Status.Resources {
		if n, ok := planted(r); ok && a.DeletionTimestamp == nil {
			out = append(out, marker{Key: types.NamespacedName{Namespace: r.Namespace, Name: r.Name}, Name: n})
		}
	}
	return out
}

// planted reads the name of a marker or a guard that is not just to be pruned.
func planted(r argo.ResourceStatus) (manifests.Name, bool) {
	n, ok := manifests.ParseName(r.Name)
	return n, ok && (n.Marker && r.Kind == "ConfigMap" || n.Guard && r.Kind == "Job") && !r.RequiresPruning && !r.Hook
}

// wanted lists the markers and guards that an Application's commit holds and its cluster does not.
func wanted(a *argo.Application) []marker {
	var out []marker
	for _, r := range a.Status.Resources {
		if n, ok := planted(r); ok && r.Status == argo.SyncStatusCodeOutOfSync {
			out = append(out, marker{Key: types.NamespacedName{Namespace: r.Namespace, Name: r.Name}, Name: n})
		}
	}
	return out
}

// revision joins what was synced: several sources have several revisions, in their order.
func revision(one string, several []string) string {
	if len(several) > 0 {
		return strings.Join(several, ",")
	}
	return one
}

// commits is the revision that was asked for, if that is a commit already and not the name of a branch.
func commits(one string, several []string) string {
	r := revision(one, several)
	for c := range strings.SplitSeq(r, ",") {
		if len(c) < 40 || strings.Trim(c, "0123456789abcdef") != "" {
			return ""
		}
	}
	return r
}

// targetOf says whose schema an object of a migration is about, by the names alone, or as its Jobs have said it. It reports false where the
// database's name was cut to fit into the object's: then nobody but the Job knows it.
func (a application) targetOf(key types.NamespacedName, n manifests.Name) (target, bool) {
	t := target{Environment: a.Environment, Database: n.Database}
	if e := a.Told[n.Database]; e != "" && !a.Named {
		t.Environment = e
	}
	if t.Environment == "" {
		t.Environment = key.Namespace
	}
	return t, !mayBeCut(n)
}

// hashed is how a database's name ends when it was cut.
var hashed = regexp.MustCompile(`-[0-9a-f]{6}$`)

// mayBeCut reports whether a Job's name may hold only a part of its database's name: it ends in a hash, and is as long as
// names of longer databases become.
func mayBeCut(n manifests.Name) bool {
	if !hashed.MatchString(n.Database) {
		return false
	}
	long := manifests.ObjectName(n.Database+strings.Repeat("x", 64), n.What(), n.Digest8)
	const trimmed = 2 // a cut leaves no dash at its end
	return len(manifests.ObjectName(n.Database, n.What(), n.Digest8)) >= len(long)-trimmed
}

// jobKeys lists the migration Jobs that an Application shows, in its operation or among its resources, leftovers included.
func jobKeys(a *argo.Application) []types.NamespacedName {
	seen := map[types.NamespacedName]bool{}
	var keys []types.NamespacedName
	add := func(group, kind, namespace, name string) {
		k := types.NamespacedName{Namespace: namespace, Name: name}
		if _, ok := migrationName(name); ok && group == "batch" && kind == "Job" && !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	if s := a.Status.OperationState; s != nil && s.SyncResult != nil {
		for _, r := range s.SyncResult.Resources {
			add(r.Group, r.Kind, r.Namespace, r.Name)
		}
	}
	for _, r := range a.Status.Resources {
		add(r.Group, r.Kind, r.Namespace, r.Name)
	}
	return keys
}
