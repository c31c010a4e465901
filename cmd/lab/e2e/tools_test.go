package e2e

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// ownTools has teams migrate with their own tools, each in an image of its own: what the tool calls the newest migration is the
// version that is ready.
func ownTools(t *testing.T, s *story.Story) {
	php, err := filepath.EvalSymlinks("/usr/bin/php")
	if err != nil {
		t.Fatal("make e2e installs PHP: ", err)
	}
	version := filepath.Base(php)
	adopt(t, s, story.Tool{Directory: "laravel", Database: "catalog", User: "DB_USERNAME", Password: "DB_PASSWORD",
		Packages: []string{version + "-cli", version + "-pgsql", version + "-mbstring", version + "-xml", "php-laravel-framework"},
		Trees:    []string{"/etc/php"}, Links: map[string]string{"/usr/bin/php": version}}, "20260210093000", "products: id, name, created_at, updated_at, price_cents")
	adopt(t, s, story.Tool{Directory: "django", Database: "accounts", User: "PGUSER", Password: "PGPASSWORD",
		Packages: []string{"python3-django", "python3-psycopg2"}}, "2", "accounts_account: id, email, closed_at")
	adopt(t, s, story.Tool{Directory: "alembic", Database: "invoices", User: "PGUSER", Password: "PGPASSWORD",
		Packages: []string{"python3-alembic", "python3-psycopg2"}}, "20260210093000", "invoices: id, cents, paid_at")
	t.Run("ten replicas", func(t *testing.T) { tenReplicas(t, s) })
}

// adopt has one team come with its tool, and says what is wrong if the first migration does not end at the version, with the
// columns of the table: "table: column, column".
func adopt(t *testing.T, s *story.Story, tool story.Tool, version, columns string) {
	t.Run(tool.Directory, func(t *testing.T) {
		event, err := s.Adopt(t.Context(), tool)
		if err != nil {
			t.Fatal(err)
		}
		if event.Predicate != events.Succeeded || event.Attempt.Version != version || event.Attempt.Evidence != events.EvidenceReport {
			t.Errorf("the event is %s: %+v, want version %s succeeded, by report", event.Predicate, event.Attempt, version)
		}
		state, err := s.State(t.Context(), story.Staging, tool.Database)
		if err != nil || state.Ready == nil || state.Ready.Version != version {
			t.Errorf("ready is %+v (%v), want version %s", state.Ready, err, version)
		}
		table, want, _ := strings.Cut(columns, ": ")
		if columns, err := story.Columns(t.Context(), s.Databases[tool.Database], table); err != nil || columns != want {
			t.Errorf("table %s has the columns %s (%v), want %s", table, columns, err, want)
		}
	})
}

// tenReplicas starts a Deployment whose ten Pods all migrate the same empty database with Laravel, in initContainers, at once.
func tenReplicas(t *testing.T, s *story.Story) {
	const database = "race_staging"
	query(t, s.Databases["catalog"], "CREATE DATABASE "+database)
	jobs, err := s.Cluster.MigrationJobs(t.Context(), story.Staging)
	if err != nil {
		t.Fatal(err)
	}
	var pod *corev1.PodSpec
	for _, j := range jobs {
		if j.Labels[manifests.LabelDatabase] == "catalog" {
			pod = j.Spec.Template.Spec.DeepCopy()
		}
	}
	if pod == nil {
		t.Fatal("the Job of catalog is gone")
	}
	migrate := pod.Containers[0]
	migrate.EnvFrom = []corev1.EnvFromSource{ // the Job has copies, which are gone
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "catalog"}}},
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "catalog-db"}}},
	}
	migrate.Env = append([]corev1.EnvVar{{Name: "DB_DATABASE", Value: database}}, migrate.Env...)
	service := *migrate.DeepCopy()
	service.Name, service.Command, service.Args = "service", []string{"php", "-r", "sleep(3600);"}, nil
	pod.InitContainers = append(pod.InitContainers, migrate)
	pod.Containers, pod.RestartPolicy = []corev1.Container{service}, ""
	for _, all := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range all {
			all[i].Resources = corev1.ResourceRequirements{}
		}
	}
	labels := map[string]string{"app": "race"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "race", Namespace: story.Staging},
		Spec: appsv1.DeploymentSpec{Replicas: new(int32(10)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: *pod}},
	}
	if err := s.Cluster.Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	defer s.Cluster.Delete(context.WithoutCancel(t.Context()), deployment) //nolint:errcheck // the lab goes with it
	if err := s.Cluster.RolledOut(t.Context(), story.Staging, "race"); err != nil {
		t.Fatal(err)
	}
	pods, err := s.Cluster.Pods(t.Context(), story.Staging, "race")
	if err != nil || len(pods) != 10 {
		t.Fatalf("%d pods, %v", len(pods), err)
	}
	for _, p := range pods {
		for _, c := range p.Status.InitContainerStatuses {
			if c.RestartCount != 0 {
				t.Errorf("%s of %s was restarted %d times", c.Name, p.Name, c.RestartCount)
			}
		}
	}
	url := strings.Replace(s.Databases["catalog"], "catalog_staging", database, 1)
	applied := query(t, url, "SELECT migration || ' in batch ' || batch FROM migrations ORDER BY id")
	if want := []string{"2026_01_05_100000_create_products in batch 1", "2026_02_10_093000_price_products in batch 1"}; !slices.Equal(applied, want) {
		t.Errorf("applied %q, want %q", applied, want)
	}
	if outcomes, want := query(t, url, "SELECT outcome || ' ' || count(*) FROM schemawave.run GROUP BY outcome ORDER BY outcome"), []string{"current 9", "succeeded 1"}; !slices.Equal(outcomes, want) {
		t.Errorf("of ten runs %q, want %q", outcomes, want)
	}
}

// query returns the rows of one statement, columns joined by "|".
func query(t *testing.T, url, sql string) []string {
	t.Helper()
	rows, err := postgrestest.Query(t.Context(), url, sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
