package gates

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/manifests"
)

// pods are those of a cluster, live.
type pods interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
	Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error
}

// release takes the gate away from a Pod, as it was seen or as it is by now, and reports whether it did. One that is gone, or has
// no gate any more, needs nothing.
func release(ctx context.Context, live pods, seen *corev1.Pod) (done bool, err error) {
	pod, fresh := seen, true
	err = retry.OnError(retry.DefaultBackoff, changed, func() error {
		if !fresh {
			pod = &corev1.Pod{}
			if err := live.Get(ctx, client.ObjectKeyFromObject(seen), pod); err != nil {
				return err
			}
		}
		fresh = false
		if pod.UID != seen.UID || !gated(pod) {
			return nil
		}
		err := live.Patch(ctx, pod.DeepCopy(), client.RawPatch(types.JSONPatchType, opening(pod)))
		done = err == nil
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("release pod %s/%s: %w", seen.Namespace, seen.Name, err)
	}
	return done, nil
}

// changed reports whether a patch was refused because the Pod is another version than the one it was made for: by its resource
// version, or because the gate stands elsewhere by now.
func changed(err error) bool { return apierrors.IsConflict(err) || apierrors.IsInvalid(err) }

// gated reports whether our gate holds a Pod back.
func gated(p *corev1.Pod) bool { return place(p) >= 0 && p.DeletionTimestamp == nil }

func place(p *corev1.Pod) int {
	return slices.Index(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: manifests.SchedulingGate})
}

// opening is the JSON patch that takes the gate away, and with it the label, so that the Pod is not looked at any more. It fits
// this version of the Pod only.
func opening(p *corev1.Pod) []byte {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value,omitempty"`
	}
	gate := fmt.Sprintf("/spec/schedulingGates/%d", place(p))
	patch := []operation{
		{"replace", "/metadata/resourceVersion", p.ResourceVersion},
		{"test", gate + "/name", manifests.SchedulingGate},
		{"remove", gate, ""},
	}
	if _, labelled := p.Labels[manifests.LabelGated]; labelled {
		patch = append(patch, operation{"remove", "/metadata/labels/" + strings.ReplaceAll(manifests.LabelGated, "/", "~1"), ""})
	}
	text, err := json.Marshal(patch)
	if err != nil {
		panic(err) // texts alone
	}
	return text
}
