package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// rolledBack goes back to the image before, as a person does: by the API server's rollback, which runs no hooks, and then by a whole sync of
// the older commit, whose image finds a newer schema. Neither takes back what is ready, and each migration that begins is told to have changed nothing.
func rolledBack(t *testing.T, s *story.Story) {
	const name = "orders-staging"
	wantAtRest(t, s, name)
	before, err := s.State(t.Context(), story.Staging, story.Database)
	if err != nil {
		t.Fatal(err)
	}
	toldBefore, err := s.Events(t.Context(), story.Staging)
	if err != nil {
		t.Fatal(err)
	}
	app, err := s.Cluster.Application(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	now := app.Status.Sync.Revision
	older := app.Status.History[len(app.Status.History)-2]
	automatic := func(on bool) {
		automated := map[string]any{"automated": nil}
		if on {
			automated["automated"] = map[string]bool{"prune": true, "selfHeal": true}
		}
		patch(t, s, app, map[string]any{"spec": map[string]any{"syncPolicy": automated}})
	}
	automatic(false)

	post(t, "/api/v1/applications/"+name+"/rollback", map[string]any{"name": name, "id": older.ID, "prune": true})
	wantSynced(t, s, name, older.Revision, false)
	post(t, "/api/v1/applications/"+name+"/sync", map[string]any{"name": name, "revision": older.Revision, "prune": true})
	wantSynced(t, s, name, older.Revision, true)
	automatic(true)
	wantSynced(t, s, name, now, true)

	after, err := s.State(t.Context(), story.Staging, story.Database)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.Ready, after.Ready); diff != "" {
		t.Errorf("what is ready has changed (-before +after):\n%s", diff)
	}
	wantEventually(t, "each migration that has begun is told to have found the newer schema", func(ctx context.Context) bool {
		toldAfter, err := s.Events(ctx, story.Staging)
		if err != nil {
			return false
		}
		open := map[string]bool{} // by run: which version an image has is known once it has run
		for _, e := range toldAfter[len(toldBefore):] {
			switch {
			case e.Database != story.Database:
			case e.Predicate == events.Started:
				open[e.Attempt.Run] = true
			case e.Predicate == events.Succeeded && open[e.Attempt.Run] && e.Attempt.Applied == nil && cmp.Equal(e.Ready, before.Ready):
				delete(open, e.Attempt.Run)
			default:
				t.Fatalf("this was told: %s, %s", e.Predicate, e.Reason)
			}
		}
		return len(open) == 0
	})
}

// wantSynced waits until an Application was synced to a commit, with its hooks or without.
func wantSynced(t *testing.T, s *story.Story, name, revision string, hooks bool) {
	t.Helper()
	wantEventually(t, fmt.Sprintf("%s is synced to %.8s, hooks: %t", name, revision, hooks), func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, name)
		if err != nil || a.Operation != nil || a.Status.OperationState == nil || !a.Status.OperationState.Phase.Successful() {
			return false
		}
		result := a.Status.OperationState.SyncResult
		ran := slices.ContainsFunc(result.Resources, func(r *argo.ResourceResult) bool {
			return r.Kind == "Job" && r.HookType != "" && r.HookPhase.Successful()
		})
		return result.Revision == revision && ran == hooks
	})
}

// post asks Argo CD's API server, as its UI does.
func post(t *testing.T, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, os.Getenv("ARGOCD_URL")+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if said, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s: %s (%v)", path, answer.Status, said, err)
	}
}
