package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

const guardedOverlay = "orders/overlays/staging/"

// guarded has Argo CD leave the hook out, in the ways in which it does: by a sync of some resources, and by the strategy of a
// rollback. With a guard both fail before the workload, and a full sync goes through.
func guarded(t *testing.T, s *story.Story) {
	// the overlay creates the Secret itself, of a later wave than the guard, so both Jobs have copies of it
	kustomization := fmt.Sprintf(`namespace: staging
resources: [../../base, schemawave]
secretGenerator:
- name: orders-guarded
  literals: ["url=%s"]
`, s.Databases[story.Staging])
	files := map[string]string{guardedOverlay + "schemamigration.yaml": `apiVersion: schemawave.dev/v1alpha1
kind: SchemaMigration
metadata:
  name: orders
  annotations: {config.kubernetes.io/local-config: "true"}
spec:
  source:
    directory: ../../migrations
  database:
    urlFrom: {secretKeyRef: {name: orders-guarded, key: url}}
  guard: job
`, guardedOverlay + "kustomization.yaml": kustomization}
	for _, version := range []string{"7", "8", "9"} { // the first two were in an image
		files["orders/migrations/000"+version+"_of_image.sql"] = "ALTER TABLE orders ADD COLUMN of_image_" + version + " int;\n"
	}
	r, err := s.Push(t.Context(), "orders: guarded", files)
	if err != nil {
		t.Fatal(err)
	}
	wantSucceeded(t, r, "9")
	if strings.HasSuffix(r.Job, manifests.GuardSuffix) || r.Created.IsZero() {
		t.Errorf("the migration was run by %q, created at %s", r.Job, r.Created)
	}
	wantPhase(t, s, "orders-staging", common.OperationSucceeded)

	patchApplication(t, s, `{"spec": {"syncPolicy": {"automated": null}}}`)
	t.Cleanup(func() {
		patchApplication(t, s, `{"spec": {"syncPolicy": {"automated": {"prune": true, "selfHeal": true}}}}`)
	})
	revision := unsynced(t, s, kustomization)
	guard := awaitGuard(t, s, revision, "schema-orders-10-")
	skipped := map[string]argo.SyncOperation{
		"a sync of the workload and the guard": {Revision: revision, Resources: []argo.SyncOperationResource{
			{Group: "batch", Kind: "Job", Name: guard, Namespace: story.Staging}, {Group: "apps", Kind: "Deployment", Name: "orders", Namespace: story.Staging}}},
		"the strategy of a rollback": {Revision: revision, SyncStrategy: &argo.SyncStrategy{Apply: &argo.SyncStrategyApply{}}},
	}
	for way, operation := range skipped {
		t.Run(way, func(t *testing.T) {
			operate(t, s, operation)
			wantPhase(t, s, "orders-staging", common.OperationFailed)
			wantSaid(t, s, guard)
			if got := workloadRelease(t, s); got != "" {
				t.Errorf("the workload is the new one, %q", got)
			}
			if state, err := s.State(t.Context(), story.Staging, story.Database); err != nil || state.Ready.Version != "9" || state.LastAttempt.Version != "9" {
				t.Errorf("NATS tells of %+v and %+v (%v), want nothing of a guard", state.Ready, state.LastAttempt, err)
			}
		})
	}
	operate(t, s, argo.SyncOperation{Revision: revision, Prune: true})
	wantPhase(t, s, "orders-staging", common.OperationSucceeded)
	wantEventually(t, "version 10 is ready", func(ctx context.Context) bool {
		state, err := s.State(ctx, story.Staging, story.Database)
		return err == nil && state.Ready.Version == "10"
	})
	wantEventually(t, "the Application is synced and healthy, and has one guard", func(ctx context.Context) bool {
		app, err := s.Cluster.Application(ctx, "orders-staging")
		if err != nil {
			return false
		}
		guards := 0
		for _, r := range app.Status.Resources {
			if r.Kind == "Job" && strings.HasSuffix(r.Name, manifests.GuardSuffix) {
				guards++
			}
		}
		return app.Status.Sync.Status == argo.SyncStatusCodeSynced && app.Status.Health.Status == health.HealthStatusHealthy && guards == 1
	})
	if got := workloadRelease(t, s); got != "guarded" {
		t.Errorf("after a full sync the workload is %q, want the new one", got)
	}
}

// unsynced pushes a migration and a new workload, and returns the rendered commit.
func unsynced(t *testing.T, s *story.Story, kustomization string) string {
	t.Helper()
	for path, content := range map[string]string{
		"orders/migrations/0010_guarded.sql": "ALTER TABLE orders ADD COLUMN guarded int;\n",
		guardedOverlay + "kustomization.yaml": kustomization + `patches:
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"release": "guarded"}}]'
`,
	} {
		if err := s.Repo.Write(path, content); err != nil {
			t.Fatal(err)
		}
	}
	source, err := s.Repo.Push(t.Context(), "orders: a column, and who reads it")
	if err != nil {
		t.Fatal(err)
	}
	revision, err := s.Repo.Rendered(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// awaitGuard waits until Argo CD compares with a revision, and returns the name of its guard.
func awaitGuard(t *testing.T, s *story.Story, revision, prefix string) string {
	t.Helper()
	var name string
	wantEventually(t, "Argo CD sees a new guard", func(ctx context.Context) bool {
		app, err := s.Cluster.Application(ctx, "orders-staging")
		if err != nil || app.Status.Sync.Revision != revision {
			return false
		}
		for _, r := range app.Status.Resources {
			if r.Kind == "Job" && strings.HasPrefix(r.Name, prefix) && strings.HasSuffix(r.Name, manifests.GuardSuffix) && r.Status == argo.SyncStatusCodeOutOfSync {
				name = r.Name
			}
		}
		return name != ""
	})
	return name
}

// operate has Argo CD carry out an operation, as the API server does. The state of the last one goes first: it would be taken for
// that of this one.
func operate(t *testing.T, s *story.Story, sync argo.SyncOperation) {
	t.Helper()
	b, err := json.Marshal(argo.Operation{Sync: &sync, InitiatedBy: argo.OperationInitiator{Username: "e2e"}})
	if err != nil {
		t.Fatal(err)
	}
	patchApplication(t, s, fmt.Sprintf(`{"operation": %s, "status": {"operationState": null}}`, b))
}

func patchApplication(t *testing.T, s *story.Story, patch string) {
	t.Helper()
	app := new(argo.Application)
	app.Namespace, app.Name = "argocd", "orders-staging"
	if err := s.Cluster.Patch(context.WithoutCancel(t.Context()), app, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// wantSaid wants the Pod of the guard to name what did not run, and the remedy; and Argo CD to name the guard.
func wantSaid(t *testing.T, s *story.Story, guard string) {
	t.Helper()
	var said migrations.Report
	wantEventually(t, "the guard has left a report", func(ctx context.Context) bool {
		var pods corev1.PodList
		err := s.Cluster.List(ctx, &pods, client.InNamespace(story.Staging), client.MatchingLabels{"batch.kubernetes.io/job-name": guard})
		if err != nil || len(pods.Items) == 0 || len(pods.Items[0].Status.ContainerStatuses) == 0 {
			return false
		}
		end := pods.Items[0].Status.ContainerStatuses[0].State.Terminated
		if end == nil {
			return false
		}
		said, err = migrations.DecodeReport([]byte(end.Message))
		return err == nil
	})
	f := said.Failure
	if f == nil || f.Code != migrations.ExitRejected || !strings.Contains(f.Message, "version 10 is not applied, the newest is 9") || !strings.Contains(f.Hint, "sync the whole Application") {
		t.Errorf("the guard says %+v, want what did not run and the remedy", f)
	}
	app, err := s.Cluster.Application(t.Context(), "orders-staging")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range app.Status.OperationState.SyncResult.Resources {
		if r.Name == guard {
			t.Logf("Argo CD says of the guard: %s, %s; and of the sync: %s", r.HookPhase, r.Message, app.Status.OperationState.Message)
			return
		}
	}
	t.Errorf("the sync's result does not name the guard: %+v", app.Status.OperationState.SyncResult.Resources)
}

// workloadRelease is what the Deployment in the cluster says of its release.
func workloadRelease(t *testing.T, s *story.Story) string {
	t.Helper()
	var d appsv1.Deployment
	if err := s.Cluster.Get(t.Context(), client.ObjectKey{Namespace: story.Staging, Name: "orders"}, &d); err != nil {
		t.Fatal(err)
	}
	return d.Spec.Template.Annotations["release"]
}
