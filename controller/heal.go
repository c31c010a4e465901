package controller

import (
	"context"
	"encoding/json"
	"fmt"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
)

// Heal is what is done about a migration that was left out and that Argo CD will not run by itself. The zero value is HealAlert.
type Heal string

// The ways to heal.
const (
	HealOff   Heal = "off"   // it is published and counted
	HealAlert Heal = "alert" // and made a Kubernetes Event on the Application
	HealSync  Heal = "sync"  // and the whole Application is synced, once for each commit
)

// initiator is who asks for an operation, as Argo CD shows it.
const initiator = "schemawave"

// healer asks Argo CD to sync whole Applications.
type healer struct {
	live    client.Reader // the API server itself
	cluster client.Writer
	people  people
	metrics *metrics
}

// heal asks for a sync of the Application whose last operation left a migration out, unless somebody or something forbids it. It returns
// why it did not, for the log. It is safe to repeat: while the operation is not over there is no second one, and after it none for
// the same commit.
func (h healer) heal(ctx context.Context, o events.Obstacle) (why string, err error) {
	key, ok := applicationKey(o.Application)
	if !ok || o.Kind != events.Skipped && o.Kind != events.Stuck && o.Kind != events.Blocked {
		return "", nil // a sync would not help, or fail as the last one did
	}
	a, why, err := automated(ctx, h.live, key)
	if why != "" || err != nil {
		return why, err
	}
	if why := unhealable(a, o); why != "" {
		return why, nil
	}
	switch shut, err := windowShut(ctx, h.live, a); {
	case unreadable(err):
		return "its sync windows cannot be read: grant get on appprojects", nil
	case err != nil || shut:
		return "a sync window is closed", err
	}
	body, err := json.Marshal(cure(a))
	if err != nil {
		return "", fmt.Errorf("ask for a sync of %s: %w", o.Application, err)
	}
	err = h.cluster.Patch(ctx, a, client.RawPatch(types.MergePatchType, body))
	if apierrors.IsConflict(err) {
		return "it has just changed", nil
	}
	h.metrics.healed(err)
	if err != nil {
		return "", fmt.Errorf("ask for a sync of %s: %w", o.Application, err)
	}
	h.people.say(ctx, o.Application, corev1.EventTypeNormal, reasonHealed, "asked for a sync of the whole application, for "+o.Reason)
	return "", nil
}

// unhealable says why a sync of the whole Application is not to be asked for, by what the Application shows now; empty if it is.
//
// Nothing may have happened since the obstacle: its run is the last operation, so one that runs, waits between two retries, or was
// asked for is left alone; a patch would restart it and kill the Pod of its migration. What follows a person's partial sync or rollback
// is a person's to say. The last operation is also the limit: what this asked for is not asked for again at the same commit.
func unhealable(a *argo.Application, o events.Obstacle) string {
	view := newApplication(a, destination{})
	last, any := view.last()
	switch {
	case a.Operation != nil || any && last.running():
		return "an operation is in progress"
	case !any || run(view.Key.String(), last.Started) != o.Run:
		return "it has been synced since"
	case view.Compared == "":
		return "Argo CD does not know its commit"
	}
	by := a.Status.OperationState.Operation.InitiatedBy
	switch {
	case by.Username == initiator && last.Revision == view.Compared:
		return "a sync of this commit was asked for before"
	case !by.Automated && by.Username != initiator:
		return "a person did the last sync"
	}
	return ""
}

// change is a merge patch of an Application. The API server refuses it if the Application is another by now.
type change struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Operation argo.Operation `json:"operation"`
	Status    struct {
		OperationState *struct{} `json:"operationState"` // null: the last operation's results would be taken for this one's
	} `json:"status"`
}

// cure is the operation that Argo CD itself would begin for a commit that it has not tried, but that it is not tried again.
func cure(a *argo.Application) change {
	var c change
	c.Metadata.ResourceVersion = a.ResourceVersion
	c.Operation = argo.Operation{
		InitiatedBy: argo.OperationInitiator{Username: initiator},
		Sync: &argo.SyncOperation{
			Revision: a.Status.Sync.Revision, Revisions: a.Status.Sync.Revisions,
			Prune: a.Spec.SyncPolicy.Automated.Prune, SyncOptions: a.Spec.SyncPolicy.SyncOptions,
		},
	}
	return c
}
