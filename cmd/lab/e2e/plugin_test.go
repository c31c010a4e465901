package e2e

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// byPlugin has Argo CD render an overlay of which nothing generated is in git, by the plugin that the documentation gives.
func byPlugin(t *testing.T, s *story.Story) {
	startPlugin(t)
	const database = "parts"
	u, err := url.Parse(s.Databases["production"])
	if err != nil {
		t.Fatal("the database's URL is none")
	}
	query(t, u.String(), "CREATE DATABASE "+database)
	u.Path = "/" + database
	if err := s.Cluster.PutSecret(t.Context(), story.Staging, "parts-db", map[string]string{"url": u.String()}); err != nil {
		t.Fatal(err)
	}
	commit := pushTree(t, database, map[string]string{
		"overlay/kustomization.yaml": "namespace: staging\nresources: [deployed.yaml]\n",
		"overlay/deployed.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: parts}\ndata: {release: \"1\"}\n",
		"overlay/schemamigration.yaml": "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: parts}\nspec:\n" +
			"  source: {directory: ../migrations}\n  database: {urlFrom: {secretKeyRef: {name: parts-db, key: url}}}\n",
		"migrations/1_create_parts.sql": "CREATE TABLE parts (id bigint);\n",
	})
	app := &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "parts-staging"}}
	app.Spec = argo.ApplicationSpec{
		Project:     "default",
		Source:      &argo.ApplicationSource{RepoURL: os.Getenv("GIT_URL") + "/parts.git", TargetRevision: "main", Path: "overlay", Plugin: &argo.ApplicationSourcePlugin{Name: "schemawave"}},
		Destination: argo.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: story.Staging},
		SyncPolicy:  &argo.SyncPolicy{Automated: &argo.SyncPolicyAutomated{Prune: true}, Retry: &argo.RetryStrategy{Limit: 0}},
	}
	if err := s.Cluster.Create(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	wantEventually(t, "parts is ready at version 1", func(ctx context.Context) bool {
		state, err := s.State(ctx, story.Staging, database)
		return err == nil && state.Ready != nil && state.Ready.Version == "1" && state.Ready.Revision == commit && state.Ready.Evidence == events.EvidenceReport
	})
	wantEventually(t, "what comes after the migration is deployed", func(ctx context.Context) bool {
		var c corev1.ConfigMap
		err := s.Cluster.Get(ctx, client.ObjectKey{Namespace: story.Staging, Name: "parts"}, &c)
		return err == nil && c.Data["release"] == "1"
	})
}

// startPlugin runs Argo CD's plugin server beside the lab's repo-server, with the plugin.yaml of docs/install.md.
func startPlugin(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	plugin := regexp.MustCompile("(?s)```yaml\n(apiVersion: argoproj.io/v1alpha1\nkind: ConfigManagementPlugin\n.*?)```").FindSubmatch(page)
	if plugin == nil {
		t.Fatal("the documentation has no plugin.yaml: is it still where it was?")
	}
	config, bin := t.TempDir(), filepath.Join("..", "..", "..", "bin")
	if bin, err = filepath.Abs(bin); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "plugin.yaml"), plugin[1], 0o644); err != nil {
		t.Fatal(err)
	}
	sockets := filepath.Join(os.Getenv("LAB_DIR"), "argocd", "plugins")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server := exec.CommandContext(t.Context(), "argocd", "--config-dir-path", config)
	server.Env = append(os.Environ(), "ARGOCD_BINARY_NAME=argocd-cmp-server", "ARGOCD_PLUGINSOCKFILEPATH="+sockets, "PATH="+bin+":"+os.Getenv("PATH"))
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Wait() //nolint:errcheck // it was killed, for its context is over
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the plugin server says:\n%s", text)
		}
	})
	wantEventually(t, "the plugin server listens", func(context.Context) bool {
		_, err := os.Stat(filepath.Join(sockets, "schemawave.sock"))
		return err == nil
	})
}

// pushTree makes a repository of files on the lab's git server, and returns its one commit.
func pushTree(t *testing.T, repository string, files map[string]string) string {
	t.Helper()
	put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, os.Getenv("GIT_URL")+"/_admin/repos/"+repository, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(put)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("repository %s: %s", repository, answer.Status)
	}
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := ""
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch", "main"}, {"add", "."},
		{"-c", "user.name=team", "-c", "user.email=team@example.com", "commit", "--quiet", "--message", "parts"},
		{"push", "--quiet", os.Getenv("GIT_URL") + "/" + repository + ".git", "main"}, {"rev-parse", "HEAD"},
	} {
		git := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		b, err := git.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, b)
		}
		out = string(b)
	}
	return strings.TrimSpace(out)
}
