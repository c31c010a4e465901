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
	kinds, scheduling := map[string]bool{}, map[string]bool{}
	for file, objects := range goldenBuilds(t) {
		for _, o := range objects {
			gated := gatesOf(t, o)
			if gated == nil {
				continue
			}
			what := file + ": " + o.GetKind() + " " + o.GetName()
			o = o.DeepCopy()
			o.SetNamespace(restricted)
			switch err := c.Create(t.Context(), o, client.DryRunAll, client.FieldValidation("Strict")); {
			case err == nil:
				kinds[o.GetKind()] = true
				scheduling[o.GetKind()] = scheduling[o.GetKind()] || len(gated.SchedulingGates) > 0
			case !meta.IsNoMatchError(err): // of a kind that is not there, its Pod alone is tried
				t.Errorf("%s: %v", what, err)
			}
			pod := &corev1.Pod{Spec: *gated}
			pod.GenerateName, pod.Namespace = "gate-", restricted
			if err := c.Create(t.Context(), pod, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
				t.Errorf("%s, its gate: %v", what, err)
			}
		}
	}
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"} {
		if !kinds[kind] || !scheduling[kind] {
			t.Errorf("no %s was tried, or none with a scheduling gate: are the golden files still where they were?", kind)
		}
	}
}

// gatesOf returns a Pod with what holds a workload of a team's own back, and nothing else; nil if nothing does.
func gatesOf(t *testing.T, o *unstructured.Unstructured) *corev1.PodSpec {
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
		service := manifests.Gate("", nil) // any container that may run in the namespace
		service.Name = "service"
		gated := &corev1.PodSpec{Containers: []corev1.Container{service}}
		if i := slices.IndexFunc(spec.InitContainers, func(c corev1.Container) bool { return c.Name == manifests.GateName }); i >= 0 {
			gated.InitContainers = spec.InitContainers[i : i+1]
			return gated
		}
		if ours := (corev1.PodSchedulingGate{Name: manifests.SchedulingGate}); slices.Contains(spec.SchedulingGates, ours) {
			gated.SchedulingGates = spec.SchedulingGates
			return gated
		}
	}
	return nil
}
