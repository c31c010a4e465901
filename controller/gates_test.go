package controller_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/manifests"
)

// TestGatesAreAccepted asks the API server what it makes of the workloads that the golden overlays hold back, with strict
// validation of their fields, and of each gate where only Pods of the Pod Security standard "restricted" may be.
func TestGatesAreAccepted(t *testing.T) {
	c := newCluster(t)
	restricted := c.restrictedNamespace()
	kinds := map[string]bool{}
	for file, objects := range goldenBuilds(t) {
		for _, o := range objects {
			gate, gated := gateOf(t, o)
			if !gated {
				continue
			}
			what := file + ": " + o.GetKind() + " " + o.GetName()
			o = o.DeepCopy()
			o.SetNamespace(restricted)
			switch err := c.Create(t.Context(), o, client.DryRunAll, client.FieldValidation("Strict")); {
			case err == nil:
				kinds[o.GetKind()] = true
			case !meta.IsNoMatchError(err): // of a kind that is not there, its Pod alone is tried
				t.Errorf("%s: %v", what, err)
			}
			pod := &corev1.Pod{Spec: corev1.PodSpec{InitContainers: []corev1.Container{gate}, Containers: []corev1.Container{gate}}}
			pod.GenerateName, pod.Namespace, pod.Spec.Containers[0].Name = "gate-", restricted, "service"
			if err := c.Create(t.Context(), pod, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
				t.Errorf("%s, its gate: %v", what, err)
			}
		}
	}
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"} {
		if !kinds[kind] {
			t.Errorf("no %s was tried: are the golden files still where they were?", kind)
		}
	}
}

// gateOf returns the init container that holds a workload of a team's own back.
func gateOf(t *testing.T, o *unstructured.Unstructured) (corev1.Container, bool) {
	t.Helper()
	for _, pod := range [][]string{{"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"}} {
		fields, ok, err := unstructured.NestedMap(o.Object, pod...)
		if err != nil || !ok || o.GetLabels()[manifests.LabelManagedBy] == manifests.ManagedBy {
			continue
		}
		var spec corev1.PodSpec
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &spec); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(spec.InitContainers, func(c corev1.Container) bool { return c.Name == manifests.GateName })
		if i >= 0 {
			return spec.InitContainers[i], true
		}
	}
	return corev1.Container{}, false
}
