package controller

import (
	"context"
	"strings"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
)

// people are told with a Kubernetes Event on the Application, which Argo CD shows beside its own.
type people struct {
	cluster  client.Reader // the cache
	recorder record.EventRecorder
}

// The reasons of the Kubernetes Events.
const (
	reasonSucceeded = "MigrationSucceeded"
	reasonFailed    = "MigrationFailed"
)

// tell says once what has just been published. It does not fail: the cluster's Events are a courtesy.
func (p people) tell(ctx context.Context, e events.Event) {
	namespace, name, ok := strings.Cut(e.Attempt.Application, "/")
	if !ok || e.Predicate != events.Succeeded && e.Predicate != events.Failed {
		return
	}
	var a argo.Application
	if err := p.cluster.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &a); err != nil {
		return
	}
	a.SetGroupVersionKind(argo.ApplicationSchemaGroupVersionKind)
	if e.Predicate == events.Failed {
		p.recorder.Event(&a, corev1.EventTypeWarning, reasonFailed, clip(e.Reason))
		return
	}
	p.recorder.Event(&a, corev1.EventTypeNormal, reasonSucceeded, clip(e.Reason))
}

// clip cuts a text to what the message of an Event may hold (Kubernetes API, Event v1: 1,024 bytes).
func clip(text string) string {
	const limit = 1024
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
}
