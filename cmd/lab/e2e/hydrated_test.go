package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events"
)

const hydrated = "hydrated"

// hydrating is an Application whose overlay Argo CD hydrates: its database and its directory in the branches are called like it.
type hydrating struct {
	name       string
	branch     string // that it is hydrated to
	repository string // of that branch
}

// hydrates has Argo CD hydrate an overlay: what is rendered is pushed to the dry branch, and what is synced is a commit of another branch, which
// Argo CD makes of it as soon as it is asked. Each result names both commits.
func hydrates(t *testing.T, s *story.Story) {
	declare(t, s, hydrated)
	url := makeDatabase(t, s, hydrated)
	migrate(t, s, hydrated, hydrated, hydrated, "1", "CREATE TABLE hydrated (id bigint);\n")
	dry := push(t, s, "hydrated: first")
	h := createHydrated(t, s, hydrated, "environments/staging")
	t.Logf("it is hydrated to %s", h.repository)
	h.wantVersion(t, s, "1", dry)
	wantAtRest(t, s, hydrated)

	asked := countRequests(t, s, hydrated)
	migrate(t, s, hydrated, hydrated, hydrated, "2", "ALTER TABLE hydrated ADD COLUMN label text;\n")
	dry = push(t, s, "hydrated: second")
	second, from := h.wantVersion(t, s, "2", dry), dry
	wantAtRest(t, s, hydrated)
	if n := asked.Load(); n != 1 {
		t.Errorf("Argo CD was asked %d times to hydrate, want once for the push", n)
	}

	// another commit of the dry branch, the same manifests: nothing is told of it
	write(t, s, hydrated+"/README.md", "This is hydrated.\n")
	source, err := s.Repo.Push(t.Context(), "hydrated: a note")
	if err != nil {
		t.Fatal(err)
	}
	patch(t, s, newApplication(hydrated), map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		argo.AnnotationKeyRefresh: string(argo.RefreshTypeNormal), argo.AnnotationKeyHydrate: string(argo.HydrateTypeNormal),
	}}})
	wantEventually(t, "Argo CD has hydrated the commit", func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, hydrated)
		return err == nil && a.Status.SourceHydrator.LastSuccessfulOperation.DrySHA == source
	})
	if state, err := s.State(t.Context(), story.Staging, hydrated); err != nil || state.LastAttempt.Revision != second || state.LastAttempt.DryRevision != from {
		t.Errorf("the last attempt is now %+v (%v), want it as it was, in %s from %s", state.LastAttempt, err, second, from)
	}

	migrate(t, s, hydrated, hydrated, hydrated, "3", "ALTER TABLE missing ADD COLUMN label text;\n")
	dry = push(t, s, "hydrated: broken")
	var state events.State
	wantEventually(t, "version 3 has failed", func(ctx context.Context) bool {
		state, err = s.State(ctx, story.Staging, hydrated)
		return err == nil && state.LastAttempt.Version == "3" && state.LastAttempt.Outcome == events.OutcomeFailed
	})
	if a := state.LastAttempt; a.Revision != h.wantCommit(t, s, dry) || a.DryRevision != dry || a.Failure.SQLState != "42P01" || state.Ready.Version != "2" || state.Ready.Revision != second {
		t.Errorf("ready is %+v after %+v, want version 2 of %s after a failure at %s", state.Ready, a, second, dry)
	}
	e := explain(t, hydrated)
	if len(e.Sources) != 1 || !strings.HasSuffix(e.Sources[0], "/shop.git hydrated main") || e.Revision != state.LastAttempt.Revision {
		t.Errorf("explain names the sources %q at %s", e.Sources, e.Revision)
	}
	if of := e.Hydration; of == nil || *of != (controller.HydrationFact{Branch: h.branch, Commit: e.Revision, From: dry}) {
		t.Errorf("explain says of the hydration: %+v", of)
	}
	if d := explained(t, e, hydrated); !strings.Contains(d.Verdict, "3_hydrated.sql:1") || len(d.Facts) > 0 {
		t.Errorf("explain says: %+v", d)
	}

	migrate(t, s, hydrated, hydrated, hydrated, "3", "ALTER TABLE hydrated ADD COLUMN size bigint;\n")
	dry = push(t, s, "hydrated: mended")
	h.wantVersion(t, s, "3", dry)

	// a commit that comes while the one before is hydrated, when 3.5 takes the request and forgets it
	resume := pause(t, "argocd-commit-server")
	migrate(t, s, hydrated, hydrated, hydrated, "4", "ALTER TABLE hydrated ADD COLUMN weight bigint;\n")
	push(t, s, "hydrated: fourth")
	wantEventually(t, "Argo CD hydrates", func(ctx context.Context) bool {
		return hydration(ctx, s, hydrated).Phase == argo.HydrateOperationPhaseHydrating
	})
	migrate(t, s, hydrated, hydrated, hydrated, "5", "ALTER TABLE hydrated ADD COLUMN colour text;\n")
	n := asked.Load()
	dry = push(t, s, "hydrated: fifth")
	wantEventually(t, "Argo CD has been asked, and has taken the request", func(ctx context.Context) bool {
		a, err := s.Cluster.Application(ctx, hydrated)
		return err == nil && asked.Load() > n && a.Annotations[argo.AnnotationKeyHydrate] == ""
	})
	resume()
	h.wantVersion(t, s, "5", dry)

	for version, want := range map[string]map[events.Predicate]int{
		"1": {events.Started: 1, events.Succeeded: 1},
		"2": {events.Started: 1, events.Succeeded: 1},
		"3": {events.Started: 2, events.Failed: 1, events.Succeeded: 1},
		"5": {events.Started: 1, events.Succeeded: 1},
	} {
		got := countEvents(t, s, story.Staging, hydrated, version)
		for _, p := range []events.Predicate{events.Started, events.Failed, events.Succeeded} {
			if got[p] != want[p] || len(got) != len(want) {
				t.Errorf("of version %s was told: %v, want %v", version, got, want)
				break
			}
		}
	}
	rows, err := story.Ledger(t.Context(), url)
	if err != nil || len(rows) != 5 || rows[4].Version != "5" {
		t.Errorf("the ledger holds %+v (%v)", rows, err)
	}

	// what cannot be hydrated; to another branch, for it would hold up all that is hydrated to the same
	const lost = "unhydrated"
	createHydrated(t, s, lost, "environments/"+lost)
	wantEventually(t, "Argo CD has failed to hydrate", func(ctx context.Context) bool {
		return hydration(ctx, s, lost).Phase == argo.HydrateOperationPhaseFailed
	})
	if h := explain(t, lost).Hydration; h == nil || h.Commit != "" || !strings.Contains(h.Failure, lost+": app path does not exist") {
		t.Errorf("explain says of what cannot be hydrated: %+v", h)
	}
	if err := s.Cluster.Delete(t.Context(), newApplication(lost)); err != nil {
		t.Fatal(err)
	}
}

// createHydrated creates an Application whose overlay Argo CD hydrates to the same path of a branch. That is in a repository of its own, which
// is returned, where Argo CD can do so: 2.14 cannot, and its definition of Applications drops the field.
func createHydrated(t *testing.T, s *story.Story, overlay, branch string, more ...func(*argo.Application)) hydrating {
	t.Helper()
	git := os.Getenv("GIT_URL")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, git+"/_admin/repos/"+hydrated, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode/100 != 2 {
		t.Fatalf("make a repository: %s", resp.Status)
	}
	app := newApplication(overlay)
	app.Spec.SourceHydrator = &argo.SourceHydrator{
		DrySource:  argo.DrySource{RepoURL: git + "/shop.git", TargetRevision: "main", Path: overlay},
		SyncSource: argo.SyncSource{TargetBranch: branch, Path: overlay},
	}
	for _, change := range more {
		change(app)
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(app)
	if err != nil {
		t.Fatal(err)
	}
	field := []string{"spec", "sourceHydrator", "syncSource", "repoURL"}
	if err := unstructured.SetNestedField(object, git+"/"+hydrated+".git", field...); err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: object}
	u.SetGroupVersionKind(argo.ApplicationSchemaGroupVersionKind)
	if err := s.Cluster.Create(t.Context(), u, client.FieldValidation(metav1.FieldValidationIgnore)); err != nil {
		t.Fatal(err)
	}
	h := hydrating{name: overlay, branch: app.Spec.GetHydrateToSource().TargetRevision, repository: git + "/shop.git"}
	if own, _, _ := unstructured.NestedString(u.Object, field...); own != "" {
		h.repository = own
	}
	return h
}

// hydration is how far Argo CD is with hydrating an Application; zero if it has not begun.
func hydration(ctx context.Context, s *story.Story, application string) argo.HydrateOperation {
	a, err := s.Cluster.Application(ctx, application)
	if err != nil || a.Status.SourceHydrator.CurrentOperation == nil {
		return argo.HydrateOperation{}
	}
	return *a.Status.SourceHydrator.CurrentOperation
}

// wantVersion waits until the database is ready at a version, by the report of a migration in the newest commit of the hydrated branch, which was
// made from dry. What is told of it names both commits. It returns the hydrated one.
func (h hydrating) wantVersion(t *testing.T, s *story.Story, version, dry string) string {
	t.Helper()
	wantVersion(t, s, h.name, version)
	commit := h.wantCommit(t, s, dry)
	h.wantNamed(t, s, version, commit, dry)
	return commit
}

// wantNamed waits until the database is ready at a version, by the report of a migration in a commit, and until it is told, once each, that this
// started and succeeded. All that is told of it names the commit, and dry for the one that it was made from.
func (h hydrating) wantNamed(t *testing.T, s *story.Story, version, commit, dry string) {
	t.Helper()
	state := wantVersion(t, s, h.name, version)
	if r := state.Ready; r.Revision != commit || r.Application != "argocd/"+h.name || r.Evidence != events.EvidenceReport {
		t.Errorf("ready is %+v, want it by the report of a migration in %s", r, commit)
	}
	wantEventually(t, "it is told that version "+version+" succeeded", func(context.Context) bool {
		return countEvents(t, s, story.Staging, h.name, version)[events.Succeeded] > 0
	})
	if told := h.told(t, s, version, commit, dry); told[events.Started] != 1 || told[events.Succeeded] != 1 {
		t.Errorf("of version %s in %s was told: %v, want that it started and succeeded, once each", version, commit, told)
	}
}

// told counts what is told of a version in a commit, all of which names dry for the one that it was made from.
func (h hydrating) told(t *testing.T, s *story.Story, version, commit, dry string) map[events.Predicate]int {
	t.Helper()
	list, err := s.Events(t.Context(), story.Staging)
	if err != nil {
		t.Fatal(err)
	}
	told := map[events.Predicate]int{}
	for _, e := range list {
		if e.Database != h.name || e.Attempt == nil || e.Attempt.Version != version || e.Attempt.Revision != commit {
			continue
		}
		told[e.Predicate]++
		if e.Attempt.DryRevision != dry {
			t.Errorf("%s of version %s in %s is said to come from %q, want %q", e.Predicate, version, commit, e.Attempt.DryRevision, dry)
		}
	}
	return told
}

// wantCommit returns the newest commit of the hydrated branch, which says itself that it was made from dry.
func (h hydrating) wantCommit(t *testing.T, s *story.Story, dry string) string {
	t.Helper()
	commit, content, err := s.Repo.Show(t.Context(), h.repository, h.branch, h.name+"/hydrator.metadata")
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ DrySHA string }
	if err := json.Unmarshal([]byte(content), &made); err != nil || made.DrySHA != dry {
		t.Errorf("the hydrated commit %s was made from %q (%v), want %s", commit, made.DrySHA, err, dry)
	}
	return commit
}

// pause stops a component of the lab until resume is called, or the test has ended.
func pause(t *testing.T, name string) (resume func()) {
	t.Helper()
	process := component(t, name)
	signal(t, process, syscall.SIGSTOP)
	resume = func() { syscall.Kill(process, syscall.SIGCONT) }
	t.Cleanup(resume)
	return resume
}

// countRequests counts from now on how often Argo CD is asked to hydrate an Application.
func countRequests(t *testing.T, s *story.Story, application string) *atomic.Int32 {
	t.Helper()
	w, err := s.Cluster.Watch(t.Context(), &argo.ApplicationList{}, client.InNamespace("argocd"),
		client.MatchingFields{metav1.ObjectNameField: application})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	n := new(atomic.Int32)
	go func() {
		asked := false
		for e := range w.ResultChan() {
			a, ok := e.Object.(*argo.Application)
			if !ok {
				continue
			}
			now := a.Annotations[argo.AnnotationKeyHydrate] != ""
			if now && !asked {
				n.Add(1)
			}
			asked = now
		}
	}()
	return n
}
