package kustomize

import (
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/schemawave/schemawave/manifests"
)

// workload is an object of an overlay that makes Pods, or is one.
type workload struct {
	*resource.Resource
	template []string // where its Pod's metadata and spec stand; empty for a Pod itself
}

// workloadOf reports whether a resource is a workload. It goes by the form, not by a list of kinds: what has containers at one of
// these places is a Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, Argo Rollout or something like them, a CronJob, or a Pod.
func workloadOf(r *resource.Resource) (workload, bool) {
	for _, template := range [][]string{{"spec", "template"}, {"spec", "jobTemplate", "spec", "template"}, nil} {
		w := workload{r, template}
		if n := w.lookup("spec", "containers"); n != nil && n.YNode().Kind == yaml.SequenceNode && len(n.Content()) > 0 {
			return w, true
		}
	}
	return workload{}, false
}

// lookup returns a field of the Pod; nil if it is not there.
func (w workload) lookup(field ...string) *yaml.RNode {
	n, err := w.Pipe(yaml.Lookup(slices.Concat(w.template, field)...))
	if err != nil || n.IsNilOrEmpty() {
		return nil
	}
	return n
}

// String names the object as people do.
func (w workload) String() string { return w.GetKind() + " " + w.GetName() }

// initContainers returns the Pod's, nil if there are none.
func (w workload) initContainers() ([]corev1.Container, error) {
	var containers []corev1.Container
	n := w.lookup("spec", "initContainers")
	if n == nil {
		return nil, nil
	}
	if err := decodeNode(n.YNode(), &containers); err != nil {
		return nil, fmt.Errorf("read the init containers of %s: %w", w, err)
	}
	return containers, nil
}

// runsAsRoot reports whether the Pod makes its containers run as root unless they say otherwise.
func (w workload) runsAsRoot() bool {
	n := w.lookup("spec", "securityContext", "runAsUser")
	return n != nil && n.YNode().Value == "0"
}

// same reports whether two lists of init containers are the same.
func same(a, b []corev1.Container) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// isGate reports whether an init container is one of those that wait for schemas, ours or one that was written by hand.
func isGate(c corev1.Container) bool { return c.Name == manifests.GateName }
