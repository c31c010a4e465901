package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events"
)

// makeDatabase makes an empty database and its Secret in staging, and returns its URL.
func makeDatabase(t *testing.T, s *story.Story, name string) string {
	t.Helper()
	u, err := url.Parse(s.Databases["production"])
	if err != nil {
		t.Fatal("the database's URL is none")
	}
	query(t, u.String(), fmt.Sprintf("CREATE DATABASE %q", name))
	u.Path = "/" + name
	if err := s.Cluster.PutSecret(t.Context(), story.Staging, name+"-db", map[string]string{"url": u.String()}); err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// declare writes an overlay of staging that deploys a ConfigMap after its migrations.
func declare(t *testing.T, s *story.Story, overlay string) {
	t.Helper()
	name := strings.ReplaceAll(overlay, "/", "-")
	write(t, s, overlay+"/kustomization.yaml", "namespace: staging\nresources: [deployed.yaml, schemawave]\n")
	write(t, s, overlay+"/deployed.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+name+"}\n")
}

// migrate writes one migration of a database, and the SchemaMigration that an overlay declares it by. The database is called like its
// Secret unless another name is given.
func migrate(t *testing.T, s *story.Story, overlay, name, secret, version, sql string) {
	t.Helper()
	write(t, s, overlay+"/"+name+".yaml", declaration(name, secret))
	write(t, s, overlay+"/"+name+"/"+version+"_"+name+".sql", sql)
}

// declaration is a SchemaMigration, of the files in a directory called like the database.
func declaration(name, secret string) string {
	return "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata:\n  name: " + name + "\n" +
		"  annotations: {config.kubernetes.io/local-config: \"true\"}\nspec:\n  source: {directory: " + name + "}\n" +
		"  database: {urlFrom: {secretKeyRef: {name: " + secret + "-db, key: url}}}\n"
}

func write(t *testing.T, s *story.Story, path, content string) {
	t.Helper()
	if err := s.Repo.Write(path, content); err != nil {
		t.Fatal(err)
	}
}

// push pushes what was written, and returns the rendered commit.
func push(t *testing.T, s *story.Story, message string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	source, err := s.Repo.Push(ctx, message)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := s.Repo.Rendered(ctx, source)
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// newApplication deploys overlays of the environment repository to staging, of their own accord; several are several sources.
func newApplication(name string, overlays ...string) *argo.Application {
	app := &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: name}}
	app.Spec = argo.ApplicationSpec{
		Project:     "default",
		Destination: argo.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: story.Staging},
		SyncPolicy:  &argo.SyncPolicy{Automated: &argo.SyncPolicyAutomated{Prune: true, SelfHeal: true}, Retry: &argo.RetryStrategy{Limit: 0}},
	}
	for _, overlay := range overlays {
		source := argo.ApplicationSource{RepoURL: os.Getenv("GIT_URL") + "/shop.git", TargetRevision: "main", Path: overlay}
		app.Spec.Sources = append(app.Spec.Sources, source)
	}
	if len(overlays) == 1 {
		app.Spec.Source, app.Spec.Sources = &app.Spec.Sources[0], nil
	}
	return app
}

func create(t *testing.T, s *story.Story, app *argo.Application) {
	t.Helper()
	if err := s.Cluster.Create(t.Context(), app); err != nil {
		t.Fatal(err)
	}
}

// wantVersion waits until a database of staging is ready at a version, and returns its state.
func wantVersion(t *testing.T, s *story.Story, database, version string) events.State {
	t.Helper()
	var state events.State
	wantEventually(t, database+" is ready at version "+version, func(ctx context.Context) bool {
		var err error
		state, err = s.State(ctx, story.Staging, database)
		return err == nil && state.Ready != nil && state.Ready.Version == version
	})
	return state
}

// wantTold waits until a Kubernetes Event on an Application has a reason and says something.
func wantTold(t *testing.T, s *story.Story, application, reason, part string) {
	t.Helper()
	wantEventually(t, fmt.Sprintf("an event %s on %s says %q", reason, application, part), func(ctx context.Context) bool {
		return told(ctx, s, application, reason, part)
	})
}

func told(ctx context.Context, s *story.Story, application, reason, part string) bool {
	all, err := s.Cluster.ApplicationEvents(ctx, application)
	return err == nil && strings.Contains(sayings(all, reason), part)
}

func sayings(all []corev1.Event, reason string) string {
	var b strings.Builder
	for _, e := range all {
		if e.Reason == reason {
			fmt.Fprintln(&b, e.Message)
		}
	}
	return b.String()
}

// explain is what `schemawave explain` says of an Application, with more flags if need be.
func explain(t *testing.T, application string, flags ...string) controller.Explanation {
	t.Helper()
	var e controller.Explanation
	cmd := exec.CommandContext(t.Context(), filepath.Join("..", "..", "..", "bin", "schemawave"), append([]string{"explain", application, "-o", "json"}, flags...)...)
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &e)
	}
	if err != nil {
		t.Fatalf("schemawave explain %s: %v\n%s", application, err, out)
	}
	return e
}

// explained is what an explanation says of a database.
func explained(t *testing.T, e controller.Explanation, database string) controller.Database {
	t.Helper()
	for _, d := range e.Databases {
		if d.Environment == story.Staging && d.Database == database {
			return d
		}
	}
	t.Fatalf("nothing is said about %s: %+v", database, e)
	return controller.Database{}
}

// countEvents counts what NATS has been told of one version of a database.
func countEvents(t *testing.T, s *story.Story, environment, database, version string) map[events.Predicate]int {
	t.Helper()
	list, err := s.Events(t.Context(), environment)
	if err != nil {
		t.Fatal(err)
	}
	n := map[events.Predicate]int{}
	for _, e := range list {
		if e.Database == database && e.Attempt != nil && e.Attempt.Version == version {
			n[e.Predicate]++
		}
	}
	return n
}
