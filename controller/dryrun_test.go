package controller

import (
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/schemawave/schemawave/manifests"
)

// TestADryRunIsNoSync: a person tries out a commit (argocd app sync --dry-run). Argo CD lists what it would have applied as if it had
// been, marker and Job included, and takes the commit for one that it has tried.
func TestADryRunIsNoSync(t *testing.T) {
	at := func(n int) *metav1.Time { m := metav1.NewTime(minute(n)); return &m }
	new, job := strings.Repeat("b", 40), madeJob("2", 0).Key.Name
	base := func() *argo.Application {
		a := &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "orders", Annotations: map[string]string{AnnotationEnvironment: "production"}}}
		a.Spec.Destination.Namespace = "shop"
		a.Spec.SyncPolicy = &argo.SyncPolicy{Automated: &argo.SyncPolicyAutomated{}}
		a.Status.Sync = argo.SyncStatus{Status: argo.SyncStatusCodeOutOfSync, Revision: new}
		a.Status.Resources = []argo.ResourceStatus{{Kind: "ConfigMap", Namespace: "shop", Name: job + manifests.MarkerSuffix, Status: argo.SyncStatusCodeOutOfSync}}
		a.Status.OperationState = &argo.OperationState{
			Operation: argo.Operation{Sync: &argo.SyncOperation{DryRun: true, Revision: new}, InitiatedBy: argo.OperationInitiator{Username: "admin"}},
			Phase:     common.OperationSucceeded, Message: "successfully synced (no more tasks)", StartedAt: *at(10), FinishedAt: at(11),
			SyncResult: &argo.SyncOperationResult{Revision: new, Resources: argo.ResourceResults{
				{Group: "batch", Kind: "Job", Namespace: "shop", Name: job, HookType: common.HookTypePreSync, Status: common.ResultCodeSynced,
					HookPhase: common.OperationSucceeded, SyncPhase: common.SyncPhasePreSync, Message: "job.batch/" + job + " created (dry run)"},
				{Kind: "ConfigMap", Namespace: "shop", Name: job + manifests.MarkerSuffix, Status: common.ResultCodeSynced,
					HookPhase: common.OperationSucceeded, SyncPhase: common.SyncPhaseSync, Message: "configmap/" + job + "-marker created (dry run)"},
			}},
		}
		return a
	}
	refusal := func(message string) func(*argo.Application) {
		return func(a *argo.Application) {
			a.Status.Conditions = []argo.ApplicationCondition{{Type: argo.ApplicationConditionSyncError, Message: message, LastTransitionTime: at(12)}}
		}
	}
	for _, c := range []struct {
		name    string
		change  func(*argo.Application)
		want    []string
		waiting bool // for Argo CD to sync it
	}{
		{"of the whole", func(*argo.Application) {}, nil, true},
		{"of the marker", func(a *argo.Application) {
			a.Status.OperationState.Operation.Sync.Resources = []argo.SyncOperationResource{{Kind: "ConfigMap", Name: job + manifests.MarkerSuffix}}
			a.Status.OperationState.SyncResult.Resources = a.Status.OperationState.SyncResult.Resources[1:]
		}, nil, true},
		{"without hooks", func(a *argo.Application) {
			a.Status.OperationState.Operation.Sync.SyncStrategy = &argo.SyncStrategy{Apply: &argo.SyncStrategyApply{}}
		}, nil, true},
		{"that fails", func(a *argo.Application) {
			a.Status.OperationState.Phase, a.Status.OperationState.Message = common.OperationFailed, "one or more objects failed to apply (dry run)"
		}, nil, true},
		{"that fails, and so the commit is taken for tried", func(a *argo.Application) {
			a.Status.OperationState.Phase = common.OperationFailed
			refusal("Failed sync attempt to " + new + ": one or more objects failed to apply (dry run)")(a)
		}, []string{"stuck 2"}, true},
		{"after which the partial sync is refused", refusal(`error updating application "orders": it would skip the migration`), []string{"blocked 2"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := base()
			c.change(a)
			strip(a)
			view := newApplication(a, destination{})
			d := decide(observation{Target: orders, Applications: []application{view}, State: published("1")})
			if diff := cmp.Diff(c.want, lines(d)); diff != "" || len(d.Doubts) > 0 {
				t.Errorf("doubts %q; -want +got\n%s", d.Doubts, diff)
			}
			last, _ := view.last()
			if said := newExplanation(a, view).String(); !strings.Contains(said, ", a dry run, started ") {
				t.Errorf("explained is\n%s", said)
			}
			if got := idle(a, view, last); got != c.waiting {
				t.Errorf("waits to be synced: %t", got)
			}
		})
	}
}
