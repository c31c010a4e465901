package e2e

import (
	"context"
	"slices"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events"
)

const (
	merged      = "merged" // the Application whose hydrated commits await a merge
	mergeBranch = "environments/merged"
)

// hydratesToMerge has Argo CD hydrate an overlay to one branch and sync another, as spec.sourceHydrator.hydrateTo has it, and a person merge the
// one into the other. Until then Argo CD is asked once for each push, explain tells what awaits the merge, and nothing else is told.
func hydratesToMerge(t *testing.T, s *story.Story) {
	declare(t, s, merged)
	makeDatabase(t, s, merged)
	migrate(t, s, merged, merged, merged, "1", "CREATE TABLE merged (id bigint);\n")
	dry := push(t, s, "merged: first")
	h := createHydrated(t, s, merged, mergeBranch, func(a *argo.Application) {
		a.Spec.SourceHydrator.HydrateTo = &argo.HydrateTo{TargetBranch: mergeBranch + "-next"}
	})
	if e := h.wantToMerge(t, s, dry); len(e.Databases) > 0 {
		t.Errorf("before anything was merged, explain says: %+v", e.Databases)
	}
	first := h.merge(t, s, true)
	h.wantNamed(t, s, "1", first, dry)
	wantAtRest(t, s, merged)
	if e := explain(t, merged); e.Hydration.Awaits != "" || e.Hydration.Commit != first || e.Revision != first {
		t.Errorf("after the merge explain says at %s: %+v", e.Revision, e.Hydration)
	}

	asked := countRequests(t, s, merged)
	migrate(t, s, merged, merged, merged, "2", "ALTER TABLE merged ADD COLUMN label text;\n")
	dry = push(t, s, "merged: second")
	h.wantToMerge(t, s, dry)
	// what is deployed is healed in part meanwhile, without hooks, which leaves out nothing
	if err := s.Cluster.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: story.Staging, Name: merged}}); err != nil {
		t.Fatal(err)
	}
	wantEventually(t, "Argo CD has healed what was deployed", func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, merged)
		return err == nil && a.Status.OperationState != nil && len(a.Status.OperationState.Operation.Sync.Resources) > 0
	})
	wantAtRest(t, s, merged)
	e := h.wantToMerge(t, s, dry)
	if d := explained(t, e, merged); e.Revision != first || d.Published.Ready.Version != "1" || d.Published.Obstacle != nil ||
		len(d.Wanted)+len(d.Facts)+len(d.Doubts) > 0 || d.Waiting != "" {
		t.Errorf("while the commit awaits its merge, explain says at %s: %+v", e.Revision, d)
	}
	h.wantNamed(t, s, "2", h.merge(t, s, true), dry)
	wantAtRest(t, s, merged)

	// a merge that makes a commit of its own, of which Argo CD does not say what it was made from
	migrate(t, s, merged, merged, merged, "3", "ALTER TABLE merged ADD COLUMN size bigint;\n")
	h.wantToMerge(t, s, push(t, s, "merged: third"))
	h.wantNamed(t, s, "3", h.merge(t, s, false), "")

	if n := asked.Load(); n != 2 {
		t.Errorf("Argo CD was asked %d times to hydrate, want once for each of two pushes", n)
	}
	list, err := s.Events(t.Context(), story.Staging)
	if err != nil {
		t.Fatal(err)
	}
	if list = slices.DeleteFunc(list, func(e events.Event) bool { return e.Database != merged }); len(list) != 6 {
		t.Errorf("%d events were told, want that each of three migrations started and succeeded: %+v", len(list), list)
	}
}

// wantToMerge waits until Argo CD has hydrated a commit, and returns what explain says then: that it is still to be merged.
func (h hydrating) wantToMerge(t *testing.T, s *story.Story, dry string) controller.Explanation {
	t.Helper()
	wantEventually(t, "Argo CD has hydrated "+dry, func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, h.name)
		return err == nil && a.Status.SourceHydrator.LastSuccessfulOperation != nil && a.Status.SourceHydrator.LastSuccessfulOperation.DrySHA == dry
	})
	e := explain(t, h.name)
	if want := (controller.HydrationFact{Branch: h.branch, Commit: h.wantCommit(t, s, dry), From: dry, Awaits: mergeBranch}); *e.Hydration != want {
		t.Errorf("explain says of the hydration: %+v, want %+v", *e.Hydration, want)
	}
	return e
}

// merge merges what is hydrated, by a commit of its own unless it is to be a fast-forward, and has Argo CD look, as its webhook would. It returns
// the commit that is to be synced.
func (h hydrating) merge(t *testing.T, s *story.Story, forward bool) string {
	t.Helper()
	commit, err := s.Repo.Merge(t.Context(), h.repository, h.branch, mergeBranch, forward)
	if err != nil {
		t.Fatal(err)
	}
	patch(t, s, newApplication(h.name), map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		argo.AnnotationKeyRefresh: string(argo.RefreshTypeNormal)}}})
	return commit
}
