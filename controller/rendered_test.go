package controller_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/manifests"
)

// TestRenderedIsAccepted asks the API server what it makes of every object that the golden overlays yield, with strict
// validation of their fields, and of the Pods of every Job where only those of the Pod Security standard "restricted" may be.
func TestRenderedIsAccepted(t *testing.T) {
	c := newCluster(t)
	restricted := c.restrictedNamespace()
	try := func(what string, o client.Object) {
		o.SetNamespace(restricted)
		if err := c.Create(t.Context(), o, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	jobs := 0
	for file, objects := range goldenBuilds(t) {
		for _, o := range objects {
			if o.GetLabels()[manifests.LabelManagedBy] != manifests.ManagedBy {
				continue
			}
			what := file + ": " + o.GetKind() + " " + o.GetName()
			try(what, o.DeepCopy())
			if o.GetKind() != "Job" {
				continue
			}
			jobs++
			var job batchv1.Job
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &job); err != nil {
				t.Fatal(err)
			}
			pod := &corev1.Pod{ObjectMeta: job.Spec.Template.ObjectMeta, Spec: job.Spec.Template.Spec}
			pod.GenerateName, pod.Spec.ServiceAccountName, pod.Spec.PriorityClassName = "migrate-", "", "" // what they name is not here
			try(what+", its Pod", pod)
		}
	}
	if jobs < 5 {
		t.Errorf("%d Jobs were tried: are the golden files still where they were?", jobs)
	}
}

// goldenBuilds reads what the golden overlays of package kustomize yield, by file.
func goldenBuilds(t *testing.T) map[string][]*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob("../kustomize/testdata/golden/*/build/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	builds := map[string][]*unstructured.Unstructured{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
		for {
			var o unstructured.Unstructured
			if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			builds[file] = append(builds[file], &o)
		}
	}
	return builds
}
