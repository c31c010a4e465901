package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

const windowed = "shelves"

// windowPatience is more than the two minutes after which a migration that waits is told of.
const windowPatience = 3 * time.Minute

func windowedProject() *argo.AppProject {
	p := &argo.AppProject{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "windowed"}}
	p.Spec.SourceRepos = []string{"*"}
	p.Spec.Destinations = []argo.ApplicationDestination{{Server: "*", Namespace: "*"}}
	return p
}

// shut closes a sync window and pushes a migration into it. That it waits is told after two minutes, so other steps come between this one
// and opened. Until then the controller heals.
func shut(t *testing.T, s *story.Story) {
	heal(t, s, "sync")
	p := windowedProject()
	if err := s.Cluster.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	declare(t, s, windowed)
	makeDatabase(t, s, windowed)
	migrate(t, s, windowed, windowed, windowed, "1", "CREATE TABLE shelves (id bigint);\n")
	push(t, s, "shelves: first")
	app := newApplication(windowed, windowed)
	app.Spec.Project = p.Name
	create(t, s, app)
	wantVersion(t, s, windowed, "1")
	wantAtRest(t, s, windowed)

	p.Spec.SyncWindows = argo.SyncWindows{{Kind: "deny", Schedule: "* * * * *", Duration: "24h", Applications: []string{"*"}}}
	if err := s.Cluster.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	migrate(t, s, windowed, windowed, windowed, "2", "ALTER TABLE shelves ADD COLUMN label text;\n")
	revision := push(t, s, "shelves: second")
	wantEventually(t, "Argo CD knows of the commit, and does not sync it", func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, windowed)
		return err == nil && a.Status.Sync.Revision == revision && a.Status.Sync.Status == argo.SyncStatusCodeOutOfSync
	})
}

// opened finds the migration told as blocked by the window and left alone, and run once the window opens.
func opened(t *testing.T, s *story.Story) {
	var state events.State
	wantWithin(t, windowPatience, "the migration is told to wait for a sync window", func(ctx context.Context) bool {
		var err error
		state, err = s.State(ctx, story.Staging, windowed)
		return err == nil && state.Obstacle != nil
	})
	if o := state.Obstacle; o.Kind != events.Blocked || o.Version != "2" || !strings.Contains(o.Reason, "a sync window is closed") || state.Ready.Version != "1" {
		t.Errorf("ready is %+v, and in the way is %+v", state.Ready, o)
	}
	wantTold(t, s, windowed, "MigrationBlocked", "a sync window is closed")
	wantEventually(t, "the controller says why it does not ask for a sync", func(ctx context.Context) bool {
		log, err := s.Cluster.ControllerLog(ctx)
		return err == nil && strings.Contains(log, "not asked for a sync of argocd/"+windowed+": a sync window is closed")
	})
	if said := explained(t, explain(t, windowed), windowed); !strings.Contains(said.Verdict, "a sync window is closed") || len(said.Wanted) != 1 {
		t.Errorf("explain says: %+v", said)
	}
	app, err := s.Cluster.Application(t.Context(), windowed)
	if err != nil {
		t.Fatal(err)
	}
	if app.Operation != nil || len(app.Status.History) != 1 || told(t.Context(), s, windowed, "MigrationSyncRequested", "asked for a sync") {
		t.Errorf("a sync was begun although the window is closed: %+v, %+v", app.Operation, app.Status.OperationState)
	}

	p := windowedProject()
	patch(t, s, p, map[string]any{"spec": map[string]any{"syncWindows": nil}})
	patch(t, s, app, map[string]any{"metadata": map[string]any{"annotations": map[string]string{argo.AnnotationKeyRefresh: string(argo.RefreshTypeNormal)}}})
	if state := wantVersion(t, s, windowed, "2"); state.Obstacle != nil {
		t.Errorf("in the way is still %+v", state.Obstacle)
	}
	heal(t, s, "alert")
}

// heal has the controller heal in another way, which it learns as it starts.
func heal(t *testing.T, s *story.Story, how string) {
	t.Helper()
	key := client.ObjectKey{Namespace: "schemawave", Name: "schemawave"}
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		var d appsv1.Deployment
		if err := s.Cluster.Get(t.Context(), key, &d); err != nil {
			return err
		}
		for _, v := range d.Spec.Template.Spec.Volumes {
			if v.ConfigMap == nil {
				continue
			}
			var now corev1.ConfigMap
			if err := s.Cluster.Get(t.Context(), client.ObjectKey{Namespace: key.Namespace, Name: v.ConfigMap.Name}, &now); err != nil {
				return err
			}
			config, _, _ := strings.Cut(now.Data["config.yaml"], "\nargocd:")
			next := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: "heal-" + how}}
			next.Data = map[string]string{"config.yaml": strings.TrimRight(config, "\n") + "\nargocd: {heal: " + how + "}\n"}
			if err := client.IgnoreAlreadyExists(s.Cluster.Create(t.Context(), next)); err != nil {
				return err
			}
			v.ConfigMap.Name = next.Name
		}
		return s.Cluster.Update(t.Context(), &d)
	})
	if err == nil {
		err = s.Cluster.RolledOut(t.Context(), key.Namespace, key.Name)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantAtRest waits until an Application is synced, and its sync over.
func wantAtRest(t *testing.T, s *story.Story, application string) {
	t.Helper()
	wantEventually(t, application+" is at rest", func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, application)
		return err == nil && a.Status.Sync.Status == argo.SyncStatusCodeSynced && a.Operation == nil && a.Status.OperationState != nil && a.Status.OperationState.Phase.Completed()
	})
}
