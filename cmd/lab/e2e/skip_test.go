package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// unskipped pushes a migration while the one before it still runs. Argo CD, which compares no manifests where nothing below the
// Application's path has changed since it last looked, then takes the new commit for one that it has synced, and heals what
// differs by a partial sync, without hooks. The admission policy refuses that, and a whole sync migrates.
func unskipped(t *testing.T, s *story.Story) {
	const name = "orders-production"
	app := &argo.Application{}
	app.Namespace, app.Name = "argocd", name
	patch(t, s, app, map[string]any{"metadata": map[string]any{"annotations": map[string]string{"argocd.argoproj.io/manifest-generate-paths": "."}}})

	wantEventually(t, "the sync before is over, or the first migration would be passed over instead of the second", func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, name)
		return err == nil && a.Operation == nil && a.Status.OperationState.Phase.Completed() && a.Status.Sync.Status == argo.SyncStatusCodeSynced
	})
	promote(t, s, "20", "SELECT pg_sleep(8);\n")
	wantEventually(t, "migration 20 runs", func(ctx context.Context) bool {
		jobs, err := s.Cluster.MigrationJobs(ctx, "production")
		return err == nil && slices.ContainsFunc(jobs, func(j batchv1.Job) bool { return strings.HasPrefix(j.Name, "schema-orders-20-") && j.Status.Active > 0 })
	})
	promote(t, s, "21", "CREATE TABLE not_skipped (id bigint);\n")

	refused := ""
	wantEventually(t, "the partial sync is refused", func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, name)
		if err != nil {
			return false
		}
		for _, c := range a.Status.Conditions {
			if strings.Contains(c.Message, "schema-orders-21-") && strings.Contains(c.Message, "would be skipped") {
				refused = c.Message
			}
		}
		return refused != ""
	})
	if want := "argocd app sync argocd/" + name; !strings.Contains(refused, want) {
		t.Errorf("the Application says %q, want %q in it", refused, want)
	}
	if rows, err := story.Ledger(t.Context(), s.Databases["production"]); err != nil || rows[len(rows)-1].Version != "20" {
		t.Errorf("the ledger holds %v (%v), want version 20 to be the last", rows, err)
	}
	wantEventually(t, "production is ready at version 20", func(ctx context.Context) bool {
		state, err := s.State(ctx, "production", story.Database)
		return err == nil && state.Ready != nil && state.Ready.Version == "20"
	})

	wantEventually(t, "who waits is told that the migration is held back", func(ctx context.Context) bool {
		state, err := s.State(ctx, "production", story.Database)
		return err == nil && state.Obstacle != nil && state.Obstacle.Kind == events.Blocked && state.Obstacle.Version == "21" &&
			strings.Contains(state.Satisfies("21").Reason, "would be skipped")
	})

	// A person may do what Argo CD may not. To try it out skips nothing, although Argo CD lists the marker as applied.
	marker := argo.SyncOperationResource{Kind: "ConfigMap", Name: strings.Fields(refused[strings.Index(refused, "schema-orders-21-"):])[0]}
	post(t, "/api/v1/applications/"+name+"/sync", map[string]any{"name": name, "dryRun": true, "resources": []argo.SyncOperationResource{marker}})
	wantEventually(t, "the marker is tried out", func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, name)
		if err != nil || a.Operation != nil || a.Status.OperationState == nil || !a.Status.OperationState.Operation.Sync.DryRun {
			return false
		}
		return a.Status.OperationState.Phase.Successful() && slices.ContainsFunc(a.Status.OperationState.SyncResult.Resources, func(r *argo.ResourceResult) bool {
			return r.Name == marker.Name && r.Status == common.ResultCodeSynced
		})
	})
	// To do it is told as what it is, and changes nothing of what is ready.
	syncWhole(t, s, app, marker)
	wantEventually(t, "the skipped migration is told", func(ctx context.Context) bool {
		list, err := s.Events(ctx, "production")
		return err == nil && slices.ContainsFunc(list, func(e events.Event) bool {
			return e.Predicate == events.Skipped && e.Attempt.Version == "21" && e.Ready.Version == "20"
		})
	})

	syncWhole(t, s, app)
	wantEventually(t, "production is ready at version 21", func(ctx context.Context) bool {
		state, err := s.State(ctx, "production", story.Database)
		return err == nil && state.Ready != nil && state.Ready.Version == "21" && state.Obstacle == nil
	})
	if n := countEvents(t, s, "production", story.Database, "21"); n[events.Skipped] != 1 {
		t.Errorf("of version 21 was told: %v, want that it was skipped once", n)
	}
}

// syncWhole syncs an Application, or some resources of it, as a person would: argocd app sync. Where Argo CD has changed the Application
// meanwhile, it looks again.
func syncWhole(t *testing.T, s *story.Story, app *argo.Application, resources ...argo.SyncOperationResource) {
	t.Helper()
	wantEventually(t, "a sync is asked for while none runs", func(ctx context.Context) bool {
		err := s.Cluster.Get(ctx, client.ObjectKeyFromObject(app), app)
		if err != nil || app.Operation != nil || app.Status.OperationState != nil && !app.Status.OperationState.Phase.Completed() {
			return false
		}
		err = tryPatch(ctx, s, app, map[string]any{
			"metadata": map[string]any{"resourceVersion": app.ResourceVersion},
			"operation": argo.Operation{
				InitiatedBy: argo.OperationInitiator{Username: "admin"},
				Sync:        &argo.SyncOperation{Revision: app.Status.Sync.Revision, Prune: true, Resources: resources},
			},
			"status": map[string]any{"operationState": nil},
		})
		if err != nil && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// patch changes an object by a JSON merge patch (RFC 7386).
func patch(t *testing.T, s *story.Story, o client.Object, change any) {
	t.Helper()
	if err := tryPatch(t.Context(), s, o, change); err != nil {
		t.Fatal(err)
	}
}

func tryPatch(ctx context.Context, s *story.Story, o client.Object, change any) error {
	body, err := json.Marshal(change)
	if err == nil {
		err = s.Cluster.Patch(ctx, o, client.RawPatch(types.MergePatchType, body))
	}
	if err != nil {
		return fmt.Errorf("patch %s: %w", o.GetName(), err)
	}
	return nil
}
