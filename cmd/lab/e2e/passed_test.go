package e2e

import (
	"context"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// The Applications whose next hydrated commit comes while a sync runs.
const (
	hydratedLate = "hydrated-late" // the sync fails: Argo CD takes the commit for one that it has tried
	hydratedPart = "hydrated-part" // the sync succeeds: Argo CD heals the commit in part, without hooks
)

// passesOver has Argo CD pass over two hydrated commits. The controller has each synced as a whole, once, at that commit.
func passesOver(t *testing.T, s *story.Story) {
	heal(t, s, "sync")
	unprotect(t, s)
	all := []string{hydratedLate, hydratedPart}
	of := map[string]hydrating{}
	for _, name := range all {
		declare(t, s, name)
		makeDatabase(t, s, name)
		migrate(t, s, name, name, name, "1", "CREATE TABLE passed (id bigint);\n")
	}
	push(t, s, "hydrated and passed over: first")
	for _, name := range all {
		of[name] = createHydrated(t, s, name, "environments/passed", func(a *argo.Application) {
			a.Annotations = map[string]string{argo.AnnotationKeyManifestGeneratePaths: "."}
			a.Labels = map[string]string{"skips": "none"}
		})
	}
	for _, name := range all {
		wantVersion(t, s, name, "1")
		wantAtRest(t, s, name)
	}

	migrate(t, s, hydratedLate, hydratedLate, hydratedLate, "2", "SELECT pg_sleep(8);\nALTER TABLE missing ADD COLUMN label text;\n")
	migrate(t, s, hydratedPart, hydratedPart, hydratedPart, "2", "SELECT pg_sleep(8);\n")
	before := push(t, s, "hydrated and passed over: one that fails, and one that does not")
	for _, name := range all {
		wantEventually(t, name+" migrates", func(ctx context.Context) bool { return skipping{database: name}.runs(ctx, s, "2") })
	}
	running := of[hydratedLate].wantCommit(t, s, before)
	migrate(t, s, hydratedLate, hydratedLate, hydratedLate, "2", "ALTER TABLE passed ADD COLUMN label text;\n")
	migrate(t, s, hydratedPart, hydratedPart, hydratedPart, "3", "ALTER TABLE passed ADD COLUMN label text;\n")
	dry := push(t, s, "hydrated and passed over: what comes too early")

	wantHealed(t, s, hydratedPart, "3", "MigrationSkipped", "was left out by a sync that runs no hooks")
	of[hydratedPart].wantVersion(t, s, "3", dry)
	if n := countEvents(t, s, story.Staging, hydratedPart, "3"); n[events.Skipped] != 1 || n[events.Succeeded] != 1 {
		t.Errorf("of version 3 of %s was told: %v, want that it was skipped, and succeeded, each once", hydratedPart, n)
	}
	wantHealed(t, s, hydratedLate, "2", "MigrationStuck", passed)
	of[hydratedLate].wantVersion(t, s, "2", dry)
	if n := countEvents(t, s, story.Staging, hydratedLate, "2"); n[events.Failed] != 1 || n[events.Stuck] != 1 || n[events.Succeeded] != 1 {
		t.Errorf("of version 2 of %s was told: %v, want that it failed, was stuck, and succeeded, each once", hydratedLate, n)
	}
	for name, end := range map[string]events.Predicate{hydratedLate: events.Failed, hydratedPart: events.Succeeded} {
		if told := of[name].told(t, s, "2", running, before); told[events.Started] != 1 || told[end] != 1 {
			t.Errorf("of what ran in %s as the next commit was hydrated was told: %v, want that it started and %s, once each", name, told, end)
		}
	}
	for _, name := range all {
		list, err := s.Cluster.ApplicationEvents(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		asked := int32(0)
		for _, e := range list {
			if e.Reason == "MigrationSyncRequested" {
				asked += e.Count
			}
		}
		if asked != 1 {
			t.Errorf("Argo CD was asked %d times to sync %s, want once", asked, name)
		}
	}
	heal(t, s, "alert")
}
