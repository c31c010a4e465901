package e2e

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/manifests"
)

// counting is a service of one Application that waits, by a scheduling gate, for the schema of another.
const counting = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: counting
  annotations:
    schemawave.dev/wait-for: counters@1
    schemawave.dev/wait-by: schedulingGate
spec:
  selector: {matchLabels: {app: counting}}
  template:
    metadata: {labels: {app: counting}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: service
          image: ghcr.io/schemawave/example-shop:0.1.0
          ports: [{name: http, containerPort: 8080}]
          env:
            - {name: QUERY, value: "SELECT n FROM counters LIMIT 1"}
            - name: DATABASE_URL
              valueFrom: {secretKeyRef: {name: counters-db, key: url}}
          readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 2}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

// gated deploys a service before its schema is there: its Pod is given no node, and the same Pod starts when the migration has run.
func gated(t *testing.T, s *story.Story) {
	u, err := url.Parse(s.Databases["production"])
	if err != nil {
		t.Fatal("the database's URL is none")
	}
	u.Path = "/counters"
	query(t, s.Databases["production"], "CREATE DATABASE counters")
	if err := s.Cluster.PutSecret(t.Context(), story.Staging, "counters-db", map[string]string{"url": u.String()}); err != nil {
		t.Fatal(err)
	}
	deploy(t, s, "counting", map[string]string{
		"kustomization.yaml": "namespace: staging\nresources: [deployment.yaml]\n",
		"deployment.yaml":    counting,
	})
	pod := func(ctx context.Context) (corev1.Pod, error) {
		var pods corev1.PodList
		if err := s.Cluster.List(ctx, &pods, client.InNamespace(story.Staging), client.MatchingLabels{"app": "counting"}); err != nil {
			return corev1.Pod{}, err
		}
		if len(pods.Items) != 1 {
			return corev1.Pod{}, fmt.Errorf("%d Pods", len(pods.Items))
		}
		return pods.Items[0], nil
	}
	is := func(p corev1.Pod, condition corev1.PodConditionType, status corev1.ConditionStatus, reason string) bool {
		return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == condition && c.Status == status && c.Reason == reason
		})
	}
	var waiting corev1.Pod
	wantEventually(t, "the Pod is held back by its scheduling gate", func(ctx context.Context) bool {
		waiting, err = pod(ctx)
		return err == nil && is(waiting, corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonSchedulingGated)
	})
	wantEventually(t, "an Event on the Pod says what is missing", func(ctx context.Context) bool {
		var all corev1.EventList
		err := s.Cluster.List(ctx, &all, client.InNamespace(story.Staging), client.MatchingFields{"involvedObject.name": waiting.Name})
		return err == nil && slices.ContainsFunc(all.Items, func(e corev1.Event) bool {
			return e.Reason == "SchemaNotReady" && e.Message == "staging/counters has no proven migration yet"
		})
	})
	wantHealth(t, s, "counting", health.HealthStatusProgressing)
	if now, err := pod(t.Context()); err != nil || now.Spec.NodeName != "" || len(now.Status.InitContainerStatuses)+len(now.Status.ContainerStatuses) > 0 {
		t.Fatalf("before the migration the Pod is on node %q with containers %v (%v)", now.Spec.NodeName, now.Status.ContainerStatuses, err)
	}

	deploy(t, s, "counters", map[string]string{
		"kustomization.yaml": "namespace: staging\nresources: []\n",
		"schemamigration.yaml": "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata:\n  name: counters\n" +
			"  annotations: {config.kubernetes.io/local-config: \"true\"}\nspec:\n  source: {directory: migrations}\n" +
			"  database: {urlFrom: {secretKeyRef: {name: counters-db, key: url}}}\n",
		"migrations/1_counters.sql": "CREATE TABLE counters (n bigint);\n",
	})
	wantEventually(t, "counters is ready at version 1", func(ctx context.Context) bool {
		state, err := s.State(ctx, story.Staging, "counters")
		return err == nil && state.Ready != nil && state.Ready.Version == "1"
	})
	wantEventually(t, "the service is ready", func(ctx context.Context) bool {
		now, err := pod(ctx)
		return err == nil && is(now, corev1.PodReady, corev1.ConditionTrue, "")
	})
	now, err := pod(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state, err := s.State(t.Context(), story.Staging, "counters")
	if err != nil {
		t.Fatal(err)
	}
	started := now.Status.ContainerStatuses[0].State.Running.StartedAt
	if now.UID != waiting.UID || len(now.Spec.SchedulingGates) > 0 || now.Labels[manifests.LabelGated] != "" || started.Time.Before(state.Ready.Since.Truncate(1e9)) {
		t.Errorf("Pod %s, of before %s, has gates %v and labels %v, and started at %s; the schema is ready since %s",
			now.UID, waiting.UID, now.Spec.SchedulingGates, now.Labels, started, state.Ready.Since)
	}
	wantHealth(t, s, "counting", health.HealthStatusHealthy)
}

// deploy pushes the files of an overlay and, when they are rendered, creates an Application that syncs it by itself to staging.
func deploy(t *testing.T, s *story.Story, name string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		if err := s.Repo.Write(name+"/"+path, content); err != nil {
			t.Fatal(err)
		}
	}
	source, err := s.Repo.Push(t.Context(), name+": deploy")
	if err == nil {
		_, err = s.Repo.Rendered(t.Context(), source)
	}
	if err != nil {
		t.Fatal(err)
	}
	neighbour, err := s.Cluster.Application(t.Context(), "orders-staging")
	if err != nil {
		t.Fatal(err)
	}
	app := &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: name}}
	app.Spec = argo.ApplicationSpec{
		Project:     "default",
		Source:      &argo.ApplicationSource{RepoURL: neighbour.Spec.Source.RepoURL, TargetRevision: "main", Path: name},
		Destination: argo.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: story.Staging},
		SyncPolicy:  &argo.SyncPolicy{Automated: &argo.SyncPolicyAutomated{Prune: true, SelfHeal: true}, Retry: &argo.RetryStrategy{Limit: 0}},
	}
	if err := s.Cluster.Create(t.Context(), app); err != nil {
		t.Fatal(err)
	}
}

// wantHealth waits until Argo CD calls an Application so, in sync with what is in git.
func wantHealth(t *testing.T, s *story.Story, name string, status health.HealthStatusCode) {
	t.Helper()
	wantEventually(t, name+" is "+string(status), func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, name)
		return err == nil && a.Status.Sync.Status == argo.SyncStatusCodeSynced && a.Status.Health.Status == status
	})
}
