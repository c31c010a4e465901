package kustomize

import (
	"slices"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"
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

// runsAsRoot reports whether the Pod makes its containers run as root unless they say otherwise.
func (w workload) runsAsRoot() bool {
	n := w.lookup("spec", "securityContext", "runAsUser")
	return n != nil && n.YNode().Value == "0"
}
