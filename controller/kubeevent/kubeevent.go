// Package kubeevent says things to people with Kubernetes Events, which are a courtesy: nothing rests on them.
package kubeevent

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
)

// Record makes an Event about an object, of corev1.EventTypeNormal or EventTypeWarning. A text is cut to what its message may hold
// (Kubernetes API, Event v1: 1,024 bytes).
func Record(r record.EventRecorder, about runtime.Object, kind, reason, text string) {
	const limit = 1024
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
	}
	r.Event(about, kind, reason, text)
}
