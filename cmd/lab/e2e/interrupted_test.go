package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// interrupted terminates a sync while its migration runs, and deletes the migration's Job while the next sync waits for it. Both are told
// as what they are, nothing is called ready or failed, and a whole sync goes on.
func interrupted(t *testing.T, s *story.Story) {
	const version = "19"
	app := &argo.Application{}
	app.Namespace, app.Name = "argocd", "orders-production"
	promote(t, s, version, "SELECT pg_sleep(6);\n")
	runs := func() batchv1.Job {
		t.Helper()
		var running batchv1.Job
		wantEventually(t, "migration "+version+" runs", func(ctx context.Context) bool {
			jobs, err := s.Cluster.MigrationJobs(ctx, "production")
			at := slices.IndexFunc(jobs, func(j batchv1.Job) bool {
				return strings.HasPrefix(j.Name, "schema-orders-"+version+"-") && j.Status.Active > 0 && j.DeletionTimestamp == nil
			})
			if err != nil || at < 0 {
				return false
			}
			running = jobs[at]
			return true
		})
		return running
	}
	obstacle := func(kind events.Predicate) {
		t.Helper()
		wantEventually(t, "the migration is "+string(kind), func(ctx context.Context) bool {
			state, err := s.State(ctx, "production", story.Database)
			return err == nil && state.Obstacle != nil && state.Obstacle.Kind == kind && state.Obstacle.Version == version && state.Ready.Version != version
		})
	}
	terminate := func() { // as argocd app terminate-op does, and again if Argo CD has just written over it
		t.Helper()
		wantEventually(t, "the sync is terminated", func(ctx context.Context) bool {
			err := s.Cluster.Get(ctx, client.ObjectKeyFromObject(app), app)
			if err != nil || app.Status.OperationState == nil {
				return false
			}
			if app.Status.OperationState.Phase == common.OperationRunning {
				patch(t, s, app, map[string]any{"status": map[string]any{"operationState": map[string]any{"phase": common.OperationTerminating}}})
			}
			return app.Status.OperationState.Phase.Completed()
		})
	}

	runs()
	terminate()
	obstacle(events.Terminated)

	syncWhole(t, s, app)
	job := runs()
	wantEventually(t, "it is in the way no more", func(ctx context.Context) bool {
		state, err := s.State(ctx, "production", story.Database)
		return err == nil && state.Obstacle == nil
	})
	if err := s.Cluster.Delete(t.Context(), &job, client.PropagationPolicy("Background")); err != nil {
		t.Fatal(err)
	}
	obstacle(events.Deleted)

	terminate()
	syncWhole(t, s, app)
	wantEventually(t, "production is ready at version "+version, func(ctx context.Context) bool {
		state, err := s.State(ctx, "production", story.Database)
		return err == nil && state.Ready != nil && state.Ready.Version == version && state.Obstacle == nil
	})
}

// promote brings production to a version by one migration more.
func promote(t *testing.T, s *story.Story, version, sql string) {
	t.Helper()
	for path, content := range map[string]string{
		"orders/migrations/" + version + "_step.sql":      sql,
		"orders/overlays/production/schemamigration.yaml": productionUpTo(t, version),
	} {
		if err := s.Repo.Write(path, content); err != nil {
			t.Fatal(err)
		}
	}
	source, err := s.Repo.Push(t.Context(), "orders: production at "+version)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Repo.Rendered(t.Context(), source); err != nil {
		t.Fatal(err)
	}
}
