package controller

import (
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/schemawave/schemawave/events"
)

// TestUnhealable: of an Application that Argo CD has healed by a partial sync a whole one is asked for, but not if anything has happened
// since, or a person decides.
func TestUnhealable(t *testing.T) {
	at := func(n int) *metav1.Time { m := metav1.NewTime(minute(n)); return &m }
	for _, c := range []struct {
		name   string
		change func(*argo.Application)
		want   string // part of why not; empty: it is healed
	}{
		{"skipped, and nothing since", func(*argo.Application) {}, ""},
		{"what this asked for was another commit", func(a *argo.Application) {
			a.Status.OperationState.Operation.InitiatedBy = argo.OperationInitiator{Username: initiator}
			a.Status.OperationState.SyncResult.Revision = "older"
		}, ""},
		{"what this asked for was this commit", func(a *argo.Application) {
			a.Status.OperationState.Operation.InitiatedBy = argo.OperationInitiator{Username: initiator}
		}, "asked for before"},
		{"a person synced a part", func(a *argo.Application) {
			a.Status.OperationState.Operation.InitiatedBy = argo.OperationInitiator{Username: "admin"}
		}, "a person"},
		{"kubectl did, which leaves no name", func(a *argo.Application) { a.Status.OperationState.Operation.InitiatedBy = argo.OperationInitiator{} }, "a person"},
		{"an operation is asked for", func(a *argo.Application) { a.Operation = &argo.Operation{} }, "in progress"},
		{"one runs", func(a *argo.Application) { a.Status.OperationState.Phase = common.OperationRunning }, "in progress"},
		{"one is being terminated", func(a *argo.Application) { a.Status.OperationState.Phase = common.OperationTerminating }, "in progress"},
		{"one was since", func(a *argo.Application) { a.Status.OperationState.StartedAt = *at(12) }, "since"},
		{"Argo CD has forgotten the operation", func(a *argo.Application) { a.Status.OperationState = nil }, "since"},
		{"git cannot be read", func(a *argo.Application) { a.Status.Sync.Revision = "" }, "commit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "orders"}}
			a.Status.Sync = argo.SyncStatus{Status: argo.SyncStatusCodeSynced, Revision: "new"}
			a.Status.OperationState = &argo.OperationState{
				Operation: argo.Operation{
					Sync:        &argo.SyncOperation{Resources: []argo.SyncOperationResource{{Kind: "Deployment", Name: "orders"}}},
					InitiatedBy: argo.OperationInitiator{Automated: true},
				},
				Phase: common.OperationSucceeded, StartedAt: *at(10), FinishedAt: at(11), SyncResult: &argo.SyncOperationResult{Revision: "new"},
			}
			o := events.Obstacle{Kind: events.Skipped, Run: "argocd/orders@2026-11-22T12:10:00Z"}
			c.change(a)
			if got := unhealable(a, o); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
