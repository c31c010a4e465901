package controller_test

import (
	"errors"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
)

// TestHeal has Argo CD skip a migration. The controller asks for a sync of the whole Application, once: not while a sync window is
// closed, and not again for the same commit.
func TestHeal(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	c.install("appproject-crd.yaml", argo.AppProjectSchemaGroupVersionKind)
	project := &argo.AppProject{ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: "default"}}
	project.Spec.SyncWindows = argo.SyncWindows{{Kind: "deny", Schedule: "* * * * *", Duration: "24h", Applications: []string{"*"}}}
	if err := c.Create(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	start(c, n, "one", func(o *controller.Options) { o.Heal = controller.HealSync })
	a := c.application("orders", overlay)
	a.Spec.SyncPolicy = &argo.SyncPolicy{
		Automated: &argo.SyncPolicyAutomated{Prune: true, SelfHeal: true}, SyncOptions: argo.SyncOptions{"ServerSideApply=true"},
	}
	if err := c.Update(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	one, two := c.release(1, c.home), c.release(2, c.home)
	c.sync(a, one)
	c.exit(c.apply(a, one), 0, one.report(c.home, "succeeded", "1"))
	c.hook(a, one, common.OperationSucceeded, "Reached expected number of succeeded pods")
	c.end(a, common.OperationSucceeded)
	n.expect("started@1", "succeeded@1")

	now := metav1.Now()
	// Argo CD heals itself by a partial sync.
	c.status(a, func(s *argo.ApplicationStatus) {
		s.Sync = argo.SyncStatus{Status: argo.SyncStatusCodeSynced, Revision: two.revision}
		s.Resources = []argo.ResourceStatus{{Group: "batch", Version: "v1", Kind: "Job", Namespace: c.home, Name: one.job.Name, Hook: true, RequiresPruning: true}}
		s.OperationState = &argo.OperationState{
			Operation: argo.Operation{
				Sync:        &argo.SyncOperation{Revision: two.revision, Resources: []argo.SyncOperationResource{{Kind: "ConfigMap", Name: "x"}}},
				InitiatedBy: argo.OperationInitiator{Automated: true},
			},
			Phase: common.OperationSucceeded, StartedAt: now, FinishedAt: &now,
			SyncResult: &argo.SyncOperationResult{Revision: two.revision, Resources: argo.ResourceResults{{
				Version: "v1", Kind: "ConfigMap", Namespace: c.home, Name: two.job.Name + manifests.MarkerSuffix,
				Status: common.ResultCodeSynced, HookPhase: common.OperationRunning, SyncPhase: common.SyncPhaseSync,
			}}},
		}
	})
	n.expect("started@1", "succeeded@1", "skipped@2")
	if s := n.state(c.home); s.Obstacle == nil || s.Obstacle.Kind != events.Skipped || s.Ready.Version != "1" {
		t.Fatalf("state: %s", pretty(s))
	}
	c.staysIdle(a) // the window is closed

	project.Spec.SyncWindows = nil
	if err := c.Update(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	within(t, "a sync is asked for", func() error {
		if c.look(a); a.Operation == nil {
			return errors.New("there is no operation")
		}
		return nil
	})
	want := &argo.Operation{
		InitiatedBy: argo.OperationInitiator{Username: "schemawave"},
		Sync:        &argo.SyncOperation{Revision: two.revision, Prune: true, SyncOptions: argo.SyncOptions{"ServerSideApply=true"}},
	}
	if diff := cmp.Diff(want, a.Operation); diff != "" || a.Status.OperationState != nil {
		t.Errorf("operation, -want +got:\n%s\noperationState: %s", diff, pretty(a.Status.OperationState))
	}

	// Argo CD takes it up, and it comes to nothing.
	now = metav1.NewTime(time.Now().Add(time.Second))
	operation := *a.Operation
	a.Operation = nil
	a.Status.OperationState = &argo.OperationState{
		Operation: operation, Phase: common.OperationFailed, StartedAt: now, FinishedAt: &now, SyncResult: &argo.SyncOperationResult{Revision: two.revision},
	}
	if err := c.Update(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	c.staysIdle(a)
}

// staysIdle fails if an operation is asked for of an Application within two seconds, in which passes over it take place.
func (c *cluster) staysIdle(a *argo.Application) {
	c.t.Helper()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if c.look(a); a.Operation != nil {
			c.t.Fatalf("an operation was asked for: %s", pretty(a.Operation))
		}
	}
}

// look is what Argo CD does every few minutes: it compares, notes the time to the second, and so wakes the controller.
func (c *cluster) look(a *argo.Application) {
	c.t.Helper()
	c.status(a, func(s *argo.ApplicationStatus) { now := metav1.Now(); s.ReconciledAt = &now })
}
