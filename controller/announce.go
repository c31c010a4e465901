package controller

import (
	"context"
	"fmt"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/controller/kubeevent"
)

// The reasons of the Kubernetes Events about rendering.
const (
	reasonUnrendered = "RenderFailed"
	reasonRendered   = "RenderSucceeded"
)

// Announcer says with Kubernetes Events that a repository, or an overlay of it, cannot be rendered. It is safe for
// concurrent use.
type Announcer struct {
	cluster  client.Reader // the cache
	recorder record.EventRecorder
	own      *corev1.ObjectReference // the Lease; nil without leader election
}

// Announcer tells people about rendering, from any replica while Run runs.
func (c *Controller) Announcer() *Announcer {
	a := &Announcer{cluster: c.manager.GetClient(), recorder: c.manager.GetEventRecorderFor("schemawave")}
	if l := c.options.LeaderElection; l != nil {
		a.own = &corev1.ObjectReference{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: l.Namespace, Name: l.Name}
	}
	return a
}

// Announce makes an Event on every Application of an overlay, told as Refresh tells them. Where there is none, and for the
// whole repository, which an empty overlay stands for, it is made on the controller's Lease and names the repository.
func (a *Announcer) Announce(ctx context.Context, repoURL, branch, overlay string, failed bool, text string) error {
	kind, reason := corev1.EventTypeNormal, reasonRendered
	if failed {
		kind, reason = corev1.EventTypeWarning, reasonUnrendered
	}
	told := false
	if overlay != "" {
		var all argo.ApplicationList
		if err := a.cluster.List(ctx, &all); err != nil {
			return fmt.Errorf("find the applications of %s: %w", repository(repoURL), err)
		}
		for i := range all.Items {
			if app := &all.Items[i]; follows(app, repository(repoURL), branch, []string{overlay}) {
				app.SetGroupVersionKind(argo.ApplicationSchemaGroupVersionKind)
				kubeevent.Record(a.recorder, app, kind, reason, text)
				told = true
			}
		}
	}
	if !told && a.own != nil {
		kubeevent.Record(a.recorder, a.own, kind, reason, fmt.Sprintf("%s, branch %s, %s: %s", repository(repoURL), branch, orAll(overlay), text))
	}
	return nil
}

func orAll(overlay string) string {
	if overlay == "" {
		return "all overlays"
	}
	return "overlay " + overlay
}
