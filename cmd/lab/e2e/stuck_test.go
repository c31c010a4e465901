package e2e

import (
	"context"
	"fmt"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// The Applications whose next commit comes while a sync runs, and is taken for one that Argo CD has tried.
const (
	mendedLate = "mended-late" // the sync fails: Argo CD 2 says that it has tried the fix, too
	quiet      = "quiet"       // the sync succeeds, and nothing heals the rest: Argo CD says nothing
)

// passOver has Argo CD pass over two commits for good. Where it says nothing of them, that shows after two minutes, so other steps come
// between this one and unstuck. The controller heals meanwhile.
func passOver(t *testing.T, s *story.Story) {
	for _, name := range []string{mendedLate, quiet} {
		declare(t, s, name)
		makeDatabase(t, s, name)
		migrate(t, s, name, name, name, "1", "CREATE TABLE passed (id bigint);\n")
	}
	push(t, s, "passed over: first")
	for _, name := range []string{mendedLate, quiet} {
		app := newApplication(name, name)
		app.Annotations = map[string]string{argo.AnnotationKeyManifestGeneratePaths: "."}
		app.Spec.SyncPolicy.Automated.SelfHeal = name != quiet
		create(t, s, app)
	}
	for _, name := range []string{mendedLate, quiet} {
		wantVersion(t, s, name, "1")
		wantAtRest(t, s, name)
	}

	migrate(t, s, mendedLate, mendedLate, mendedLate, "2", "SELECT pg_sleep(8);\nALTER TABLE missing ADD COLUMN label text;\n")
	migrate(t, s, quiet, quiet, quiet, "2", "SELECT pg_sleep(8);\n")
	push(t, s, "passed over: one that fails, and one that does not")
	for _, name := range []string{mendedLate, quiet} {
		wantEventually(t, name+" migrates", func(ctx context.Context) bool { return skipping{database: name}.runs(ctx, s, "2") })
	}
	migrate(t, s, mendedLate, mendedLate, mendedLate, "2", "ALTER TABLE passed ADD COLUMN label text;\n")
	migrate(t, s, quiet, quiet, quiet, "3", "ALTER TABLE passed ADD COLUMN label text;\n")
	revision := push(t, s, "passed over: what comes too early")

	wantEventually(t, "Argo CD has compared the commits, and is done with those before", func(ctx context.Context) bool {
		return compared(ctx, s, mendedLate, revision) && compared(ctx, s, quiet, revision)
	})
}

// compared reports whether Argo CD has compared an Application with a commit, and syncs nothing.
func compared(ctx context.Context, s *story.Story, name, revision string) bool {
	a, err := s.Cluster.Application(ctx, name)
	return err == nil && a.Status.Sync.Revision == revision && a.Operation == nil && a.Status.OperationState.Phase.Completed()
}

// unstuck finds both synced, once for the commit.
func unstuck(t *testing.T, s *story.Story) {
	wantHealed(t, s, mendedLate, "2", "MigrationStuck", passed)
	if n := countEvents(t, s, story.Staging, mendedLate, "2"); n[events.Failed] != 1 || n[events.Stuck] != 1 || n[events.Succeeded] != 1 {
		t.Errorf("of version 2 of %s was told: %v, want that it failed, was stuck, and succeeded, each once", mendedLate, n)
	}
	wantHealed(t, s, quiet, "3", "MigrationStuck", passed)
	if n := countEvents(t, s, story.Staging, quiet, "3"); n[events.Stuck] != 1 || n[events.Succeeded] != 1 {
		t.Errorf("of version 3 of %s was told: %v, want that it was stuck, and succeeded, each once", quiet, n)
	}
}

// passed is what a Kubernetes Event says of a commit that Argo CD passes over.
const passed = "takes the commit for one that it has tried"

// wantHealed waits until it is told why a migration was not begun, the controller has had the Application synced as a whole, to the commit that
// was passed over, and its database is ready at a version.
func wantHealed(t *testing.T, s *story.Story, name, version, reason, part string) {
	t.Helper()
	wantWithin(t, windowPatience, fmt.Sprintf("an event %s on %s says %q", reason, name, part), func(ctx context.Context) bool {
		return told(ctx, s, name, reason, part)
	})
	wantTold(t, s, name, "MigrationSyncRequested", "asked for a sync of the whole application")
	state := wantVersion(t, s, name, version)
	wantAtRest(t, s, name)
	app, err := s.Cluster.Application(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if o := app.Status.OperationState; o.Operation.InitiatedBy.Username != "schemawave" || o.SyncResult.Revision != state.Ready.Revision || state.Obstacle != nil {
		t.Errorf("%s was last synced to %s by %+v; it is ready at %+v, and in the way is %+v", name, o.SyncResult.Revision, o.Operation.InitiatedBy, state.Ready, state.Obstacle)
	}
}
