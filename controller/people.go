package controller

import (
	"context"
	"strings"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/controller/kubeevent"
	"github.com/schemawave/schemawave/events"
)

// people are told with a Kubernetes Event on the Application, which Argo CD shows beside its own.
type people struct {
	cluster  client.Reader // the cache
	recorder record.EventRecorder
}

// The reasons of the Kubernetes Events.
const (
	reasonSucceeded   = "MigrationSucceeded"
	reasonFailed      = "MigrationFailed"
	reasonUnversioned = "MigrationVersionUnknown"
	reasonTaken       = "MigrationDatabaseTaken"
	reasonHealed      = "MigrationSyncRequested"
	reasonUnreachable = "MigrationClusterUnreachable"
	reasonReachable   = "MigrationClusterReachable"
)

// reasonsObstructed are those of the obstacles.
var reasonsObstructed = map[events.Predicate]string{
	events.Skipped:     "MigrationSkipped",
	events.Terminated:  "MigrationTerminated",
	events.Deleted:     "MigrationJobDeleted",
	events.Unattempted: "MigrationNotAttempted",
	events.Blocked:     "MigrationBlocked",
	events.Stuck:       "MigrationStuck",
}

// tell says once what has just been published. It does not fail: the cluster's Events are a courtesy.
func (p people) tell(ctx context.Context, e events.Event) {
	switch e.Predicate {
	case events.Succeeded:
		p.say(ctx, e.Attempt.Application, corev1.EventTypeNormal, reasonSucceeded, e.Reason)
	case events.Failed:
		p.warn(ctx, e.Attempt.Application, reasonFailed, e.Reason)
	case events.Started:
	default:
		p.warn(ctx, e.Attempt.Application, reasonsObstructed[e.Predicate], e.Reason)
	}
}

// warn says what somebody has to mend.
func (p people) warn(ctx context.Context, application, reason, text string) {
	p.say(ctx, application, corev1.EventTypeWarning, reason, text)
}

func (p people) say(ctx context.Context, application, kind, reason, text string) {
	key, ok := applicationKey(application)
	if !ok {
		return
	}
	var a argo.Application
	if err := p.cluster.Get(ctx, key, &a); err != nil {
		return
	}
	a.SetGroupVersionKind(argo.ApplicationSchemaGroupVersionKind)
	kubeevent.Record(p.recorder, &a, kind, reason, text)
}

// applicationKey reads namespace/name. It reports false where no Application is known.
func applicationKey(application string) (types.NamespacedName, bool) {
	namespace, name, ok := strings.Cut(application, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}, ok
}
