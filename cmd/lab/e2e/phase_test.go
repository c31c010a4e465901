package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// inSyncPhase has an Application bring the Secret that its migration needs, which then cannot be a PreSync hook. What it deploys, a
// ConfigMap, follows only once the schema is there, also in releases after the first, and not at all where a migration is broken.
func inSyncPhase(t *testing.T, s *story.Story) {
	const database = "stock"
	u, err := url.Parse(s.Databases["production"])
	if err != nil {
		t.Fatal("the database's URL is none")
	}
	u.Path = "/" + database
	query(t, s.Databases["production"], "CREATE DATABASE "+database)
	release := func(version int, sql string) {
		t.Helper()
		for path, content := range map[string]string{
			"stock/kustomization.yaml": "namespace: staging\nresources: [secret.yaml, deployed.yaml, schemawave]\n",
			"stock/secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: stock-db\n  annotations: {argocd.argoproj.io/sync-wave: \"-10\"}\n" +
				"stringData: {url: '" + u.String() + "'}\n",
			"stock/deployed.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stock}\ndata: {release: \"%d\"}\n", version),
			"stock/schemamigration.yaml": "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata:\n  name: stock\n" +
				"  annotations: {config.kubernetes.io/local-config: \"true\"}\nspec:\n  source: {directory: migrations}\n" +
				"  database: {urlFrom: {secretKeyRef: {name: stock-db, key: url}}}\n  hook: Sync\n",
			fmt.Sprintf("stock/migrations/%d_step.sql", version): sql,
		} {
			if err := s.Repo.Write(path, content); err != nil {
				t.Fatal(err)
			}
		}
		source, err := s.Repo.Push(t.Context(), fmt.Sprintf("stock: release %d", version))
		if err == nil {
			_, err = s.Repo.Rendered(t.Context(), source)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	deployed := func() string {
		var c corev1.ConfigMap
		if err := s.Cluster.Get(t.Context(), client.ObjectKey{Namespace: story.Staging, Name: "stock"}, &c); err != nil {
			return err.Error()
		}
		return c.Data["release"]
	}
	said := listen(t, s)
	succeeded := func(version string) {
		t.Helper()
		wantEventually(t, "stock is ready at version "+version, func(ctx context.Context) bool {
			state, err := s.State(ctx, story.Staging, database)
			return err == nil && state.Ready != nil && state.Ready.Version == version && state.Ready.Evidence == events.EvidenceReport
		})
		wantEventually(t, "release "+version+" is deployed", func(context.Context) bool { return deployed() == version })
		wantEventually(t, "Argo CD is at rest", func(ctx context.Context) bool {
			a, err := s.Cluster.Application(ctx, "stock-staging")
			return err == nil && a.Status.Sync.Status == argo.SyncStatusCodeSynced && a.Status.OperationState.Phase.Completed()
		})
		wantEventually(t, "Argo CD calls the Job of version "+version+" complete", func(context.Context) bool {
			return said.of("schema-stock-"+version+"-") == "Reached expected number of succeeded pods"
		})
		wantEventually(t, "the Jobs before that of version "+version+" are pruned", func(context.Context) bool {
			names := jobsOf(t, s, database)
			return len(names) == 1 && strings.HasPrefix(names[0], "schema-stock-"+version+"-")
		})
	}

	release(1, "CREATE TABLE stock (id bigint);\n")
	neighbour, err := s.Cluster.Application(t.Context(), "orders-staging")
	if err != nil {
		t.Fatal(err)
	}
	app := &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "stock-staging"}}
	app.Spec = argo.ApplicationSpec{
		Project:     "default",
		Source:      &argo.ApplicationSource{RepoURL: neighbour.Spec.Source.RepoURL, TargetRevision: "main", Path: "stock"},
		Destination: argo.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: story.Staging},
		SyncPolicy:  &argo.SyncPolicy{Automated: &argo.SyncPolicyAutomated{Prune: true, SelfHeal: true}, Retry: &argo.RetryStrategy{Limit: 0}},
	}
	if err := s.Cluster.Create(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	succeeded("1")
	release(2, "ALTER TABLE stock ADD COLUMN shelf text;\n")
	succeeded("2")

	release(3, "ALTER TABLE stock ADD COLUMN shelf text;\n")
	wantEventually(t, "version 3 has failed", func(ctx context.Context) bool {
		state, err := s.State(ctx, story.Staging, database)
		return err == nil && state.LastAttempt.Version == "3" && state.LastAttempt.Outcome == events.OutcomeFailed &&
			state.LastAttempt.Failure.File == "3_step.sql" && state.Ready.Version == "2"
	})
	wantEventually(t, "the sync has failed", func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, "stock-staging")
		return err == nil && a.Status.OperationState.Phase.Completed() && !a.Status.OperationState.Phase.Successful()
	})
	if got := deployed(); got != "2" {
		t.Errorf("after the failure release %q is deployed, want 2", got)
	}
	if names := jobsOf(t, s, database); len(names) != 2 {
		t.Errorf("the Jobs are %v, want the one that failed and, for it is pruned last, the one before", names)
	}
	release(3, "ALTER TABLE stock ADD COLUMN bin text;\n")
	succeeded("3")
	if columns, err := story.Columns(t.Context(), u.String(), "stock"); err != nil || columns != "id, shelf, bin" {
		t.Errorf("table stock has the columns %s (%v)", columns, err)
	}
}

// spoken are the words by which Argo CD has called plain Jobs complete, by the Jobs' names. A controller that can read no Jobs takes
// them for that. They come from a watch, for the record of a sync lasts until the next one, which may begin at once.
type spoken struct {
	mu    sync.Mutex
	words map[string]string
}

func listen(t *testing.T, s *story.Story) *spoken {
	t.Helper()
	w, err := s.Cluster.Watch(t.Context(), &argo.ApplicationList{}, client.InNamespace("argocd"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	said := &spoken{words: map[string]string{}}
	go func() {
		for e := range w.ResultChan() {
			if a, ok := e.Object.(*argo.Application); ok && a.Status.OperationState != nil && a.Status.OperationState.SyncResult != nil {
				said.hear(a.Status.OperationState.SyncResult.Resources)
			}
		}
	}()
	return said
}

func (s *spoken) hear(results argo.ResourceResults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range results {
		if r.Kind == "Job" && r.HookType == "" && r.Status == common.ResultCodeSynced && r.HookPhase.Successful() {
			s.words[r.Name] = r.Message
		}
	}
}

// of is what was said of a Job whose name begins so; empty: nothing yet.
func (s *spoken) of(job string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, words := range s.words {
		if strings.HasPrefix(name, job) {
			return words
		}
	}
	return ""
}

// jobsOf lists the names of a database's migration Jobs in staging.
func jobsOf(t *testing.T, s *story.Story, database string) []string {
	t.Helper()
	jobs, err := s.Cluster.MigrationJobs(t.Context(), story.Staging)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, j := range jobs {
		if j.Labels["schemawave.dev/database"] == database {
			names = append(names, j.Name)
		}
	}
	return names
}
