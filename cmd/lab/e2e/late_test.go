package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
)

// late has nothing left of a migration but its state: no Job, no Pod and no Application. Who waits for it then is released at once.
func late(t *testing.T, s *story.Story) {
	app := newApplication(windowed)
	patch(t, s, app, map[string]any{"metadata": map[string]any{"finalizers": []string{argo.BackgroundPropagationPolicyFinalizer}}})
	if err := s.Cluster.Delete(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	wantEventually(t, "the Application is gone", func(ctx context.Context) bool {
		_, err := s.Cluster.Application(ctx, windowed)
		return apierrors.IsNotFound(err)
	})
	jobs := &batchv1.Job{}
	mine := []client.DeleteAllOfOption{client.InNamespace(story.Staging), client.MatchingLabels{"schemawave.dev/database": windowed}}
	if err := s.Cluster.DeleteAllOf(t.Context(), jobs, append(mine, client.PropagationPolicy("Background"))...); err != nil {
		t.Fatal(err)
	}
	wantEventually(t, "its Jobs and Pods are gone", func(ctx context.Context) bool {
		var pods corev1.PodList
		err := s.Cluster.List(ctx, &pods, client.InNamespace(story.Staging), client.MatchingLabels{"schemawave.dev/database": windowed})
		return err == nil && len(pods.Items) == 0 && len(jobsOf(t, s, windowed)) == 0
	})
	wait := exec.CommandContext(t.Context(), filepath.Join("..", "..", "..", "bin", "schemawave-runner"), "wait", "--timeout", "5s", story.Staging+"/"+windowed+"@2")
	if out, err := wait.CombinedOutput(); err != nil {
		t.Errorf("a latecomer is not released: %v\n%s", err, out)
	}
}
