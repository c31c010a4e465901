package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// skipping is an Application whose next migration Argo CD leaves out, for all of them compare no manifests where nothing below their path has
// changed since they last looked.
type skipping struct {
	way        string // what keeps Argo CD from syncing the commit at once
	protection string // what keeps the commit from being healed in part, as it does afterwards
	database   string
	url        string
	skipped    string // the version
}

func (a skipping) overlay() string { return "skips/" + a.database }

// fourWays has Argo CD leave a migration out in each way that it has: as a commit comes while a sync runs, of one source or of several;
// while automated sync is off; and in a sync window. By itself it then heals the rest of the commit. What is not protected is told to be skipped,
// with the new workload live; the admission policy and the guard keep that back.
func fourWays(t *testing.T, s *story.Story) {
	unprotect(t, s)
	project := windowedProject()
	project.Name = "skips"
	if err := s.Cluster.Create(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	var all []skipping
	for _, way := range []string{"running", "sources", "paused", "window"} {
		for _, protection := range []string{"none", "policy", "guard"} {
			a := skipping{way: way, protection: protection, database: way + "-" + protection, skipped: "3"}
			if a.slow() == "" {
				a.skipped = "2"
			}
			a.url = makeDatabase(t, s, a.database)
			declare(t, s, a.overlay())
			a.release(t, s, "1", "CREATE TABLE skips (id bigint);\n")
			all = append(all, a)
		}
	}
	push(t, s, "skips: first")
	for _, a := range all {
		app := newApplication(a.database, a.overlay())
		if a.way == "sources" {
			app.Spec.Sources, app.Spec.Source = []argo.ApplicationSource{*app.Spec.Source}, nil
		}
		if a.way == "window" {
			app.Spec.Project = project.Name
		}
		app.Annotations = map[string]string{"argocd.argoproj.io/manifest-generate-paths": "."}
		app.Labels = map[string]string{"skips": a.protection}
		create(t, s, app)
	}
	for _, a := range all {
		wantVersion(t, s, a.database, "1")
		wantAtRest(t, s, a.database)
	}

	project.Spec.SyncWindows = argo.SyncWindows{{Kind: "deny", Schedule: "* * * * *", Duration: "24h", Applications: []string{"*"}}}
	if err := s.Cluster.Update(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.way == "paused" {
			a.automatic(t, s, nil)
		}
		if sql := a.slow(); sql != "" {
			a.release(t, s, "2", sql)
		}
	}
	push(t, s, "skips: slow ones")
	for _, a := range all {
		if a.slow() != "" {
			wantEventually(t, a.database+" migrates", func(ctx context.Context) bool { return a.runs(ctx, s, "2") })
		}
	}
	for _, a := range all {
		a.release(t, s, a.skipped, "CREATE TABLE skipped (id bigint);\n")
	}
	revision := push(t, s, "skips: what is left out")
	for _, a := range all {
		wantEventually(t, a.database+" has looked at the commit", func(ctx context.Context) bool {
			app, err := s.Cluster.Application(ctx, a.database)
			return err == nil && (app.Status.Sync.Revision == revision || len(app.Status.Sync.Revisions) == 1 && app.Status.Sync.Revisions[0] == revision)
		})
	}
	patch(t, s, project, map[string]any{"spec": map[string]any{"syncWindows": nil}})
	for _, a := range all {
		switch a.way {
		case "paused":
			a.automatic(t, s, map[string]bool{"prune": true, "selfHeal": true})
		case "window":
			patch(t, s, newApplication(a.database), map[string]any{"metadata": map[string]any{"annotations": map[string]string{argo.AnnotationKeyRefresh: string(argo.RefreshTypeNormal)}}})
		}
	}
	for _, a := range all {
		t.Run(a.way+", "+a.protection, func(t *testing.T) { a.wantSkipped(t, s) })
	}
}

// unprotect takes those Applications from the admission policy that say that they are not protected by it.
func unprotect(t *testing.T, s *story.Story) {
	t.Helper()
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "schemawave-partial-sync"}}
	patch(t, s, binding, map[string]any{"spec": map[string]any{"matchResources": map[string]any{"objectSelector": metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "skips", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"none", "guard"}}},
	}}}})
}

// slow is a migration that runs while the next commit comes; empty if something else is in that one's way.
func (a skipping) slow() string {
	if a.way == "running" || a.way == "sources" {
		return "SELECT pg_sleep(10);\n"
	}
	return ""
}

// release writes a migration and what is deployed with it.
func (a skipping) release(t *testing.T, s *story.Story, version, sql string) {
	t.Helper()
	migrate(t, s, a.overlay(), a.database, a.database, version, sql)
	write(t, s, a.overlay()+"/deployed.yaml", fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {release: %q}\n", a.database, version))
	if a.protection == "guard" {
		file := a.overlay() + "/" + a.database + ".yaml"
		write(t, s, file, declaration(a.database, a.database)+"  guard: job\n")
	}
}

func (a skipping) automatic(t *testing.T, s *story.Story, automated map[string]bool) {
	t.Helper()
	patch(t, s, newApplication(a.database), map[string]any{"spec": map[string]any{"syncPolicy": map[string]any{"automated": automated}}})
}

func (a skipping) runs(ctx context.Context, s *story.Story, version string) bool {
	var list batchv1.JobList
	if err := s.Cluster.List(ctx, &list, client.InNamespace(story.Staging), client.MatchingLabels{"schemawave.dev/database": a.database}); err != nil {
		return false
	}
	for _, j := range list.Items {
		if strings.HasPrefix(j.Name, "schema-"+a.database+"-"+version+"-") && j.Status.Active > 0 {
			return true
		}
	}
	return false
}

// wantSkipped wants it told what became of the migration that Argo CD left out, and the workload to be as new as that allows.
func (a skipping) wantSkipped(t *testing.T, s *story.Story) {
	kind, live := events.Skipped, a.before()
	switch a.protection {
	case "none":
		live = a.skipped
	case "policy":
		kind = events.Blocked
	}
	wantEventually(t, fmt.Sprintf("version %s is told as %s", a.skipped, kind), func(ctx context.Context) bool {
		state, err := s.State(ctx, story.Staging, a.database)
		return err == nil && state.Obstacle != nil && state.Obstacle.Kind == kind && state.Obstacle.Version == a.skipped && state.Ready.Version == a.before()
	})
	var deployed corev1.ConfigMap
	if err := s.Cluster.Get(t.Context(), client.ObjectKey{Namespace: story.Staging, Name: a.database}, &deployed); err != nil || deployed.Data["release"] != live {
		t.Errorf("release %q is live (%v), want %s", deployed.Data["release"], err, live)
	}
	if rows, err := story.Ledger(t.Context(), a.url); err != nil || rows[len(rows)-1].Version != a.before() {
		t.Errorf("the ledger holds %v (%v), want %s to be the last", rows, err, a.before())
	}
}

// before is the version before the one that is skipped.
func (a skipping) before() string {
	if a.slow() == "" {
		return "1"
	}
	return "2"
}
