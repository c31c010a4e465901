// Package e2e tells the demo's story as tests, on a real Kubernetes with a real Argo CD, PostgreSQL, NATS and git server:
//
//	go run ./cmd/lab run --second-cluster -- go test -count 1 ./cmd/lab/e2e
package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// begin installs Schemawave into the cluster and founds the environment repository.
func begin(t testing.TB) *story.Story {
	t.Helper()
	checkout, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	env, err := story.FromEnv(os.Getenv, checkout)
	if err != nil {
		t.Fatal(err)
	}
	s, err := story.Begin(t.Context(), env, story.NewNarrator(t.Output()), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx := context.WithoutCancel(t.Context())
		if log, err := s.Cluster.ControllerLog(ctx); err == nil {
			t.Logf("the controller's log:\n%s", log)
		}
		var apps argo.ApplicationList
		if err := s.Cluster.List(ctx, &apps); err == nil {
			for _, a := range apps.Items {
				t.Logf("%s is %s with %s; asked for is %v, the last operation is %+v", a.Name, a.Status.Sync.Status, a.Status.Sync.Revision, a.Operation, a.Status.OperationState)
			}
		}
	})
	if err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStory is the main job from end to end: what NATS, Argo CD, the database and the waiting service say after each push.
// The steps build on each other.
func TestStory(t *testing.T) {
	s, c := begin(t), collect(t)
	steps := []struct {
		name string
		step func(*testing.T, *story.Story)
	}{
		{"a repository is founded", founded},
		{"an administrator asks for traces", c.asked},
		{"a migration is released", released},
		{"its way is traced", c.traced},
		{"a migration is broken", broken},
		{"the migration is mended", mended},
		{"production is promoted", promoted},
		{"an overlay is wrong", wrong},
		{"NATS is away", away},
		{"the leader is killed", orphaned},
		{"a person looks around", lookAround},
		{"the migrations move into an image", imaged},
		{"a release is rolled back", rolledBack},
		{"a sync window closes", shut},
		{"Argo CD passes over a fix", passOver},
		{"a tool of the team's own takes over", tooled},
		{"teams bring tools of their own", ownTools},
		{"an Application has several databases", several},
		{"two Applications have one database", shared},
		{"a sync leaves the hook out", guarded},
		{"a migration runs in the Sync phase", inSyncPhase},
		{"a service waits at no cost", gated},
		{"Argo CD renders by a plugin", byPlugin},
		{"what was passed over is synced", unstuck},
		{"the sync window opens", opened},
		{"a service comes late", late},
		{"Argo CD hydrates", hydrates},
		{"Argo CD hydrates to a branch that is merged", hydratesToMerge},
		{"Argo CD hydrates what it then passes over", passesOver},
		{"a migration runs in another cluster", elsewhere},
		{"Argo CD skips in four ways", fourWays},
		{"everything fails at once", outage},
		{"a migration is interrupted", interrupted},
		{"a hook would be skipped", unskipped},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { step.step(t, s) }) {
			t.FailNow()
		}
	}
}

func founded(t *testing.T, s *story.Story) {
	r, err := s.Found(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSucceeded(t, r, "1")
	wantReady(t, s, story.Staging, "1")
	wantEventually(t, "production is ready at version 1", func(ctx context.Context) bool {
		state, err := s.State(ctx, "production", story.Database)
		return err == nil && state.Ready != nil && state.Ready.Version == "1"
	})
	wantLedger(t, s, story.Staging, "1")
	wantLedger(t, s, "production", "1")
	wantEventually(t, "the storefront waits in its init container", func(ctx context.Context) bool {
		phase, ready, err := s.Pod(ctx, "storefront")
		return err == nil && !ready && strings.HasPrefix(phase, "waiting")
	})
}

func released(t *testing.T, s *story.Story) {
	if _, ready, err := s.Pod(t.Context(), "storefront"); err != nil || ready {
		t.Fatalf("before the release the storefront is ready: %t, %v", ready, err)
	}
	r, err := s.Push(t.Context(), "orders: add a status", map[string]string{story.SecondFile: story.Second})
	if err != nil {
		t.Fatal(err)
	}
	wantSucceeded(t, r, "2")
	wantReady(t, s, story.Staging, "2")
	wantLedger(t, s, story.Staging, "1", "2")
	wantLedger(t, s, "production", "1")
	wantPhase(t, s, "orders-staging", common.OperationSucceeded)
	if err := s.AwaitStorefront(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func broken(t *testing.T, s *story.Story) {
	r, err := s.Push(t.Context(), "orders: add a total", map[string]string{story.ThirdFile: story.Broken})
	if err != nil {
		t.Fatal(err)
	}
	if r.Event.Predicate != events.Failed {
		t.Fatalf("the event is %s, want failed", r.Message.Subject)
	}
	f := r.Event.Attempt.Failure
	if f == nil {
		t.Fatal("the failed event carries no error")
	}
	if f.SQLState != "42701" || f.File != "0003_add_total.sql" || f.Line != 4 || !f.Permanent || f.Hint == "" {
		t.Errorf("the error is %+v, want SQLSTATE 42701 at 0003_add_total.sql:4, permanent, with a hint", f)
	}
	if r.Event.Ready == nil || r.Event.Ready.Version != "2" {
		t.Errorf("the failed event says that %+v is ready, want version 2", r.Event.Ready)
	}
	wantReady(t, s, story.Staging, "2")
	wantLedger(t, s, story.Staging, "1", "2")
	// nothing of the failed file is left: its first statement has been rolled back
	if columns, err := story.Columns(t.Context(), s.Databases[story.Staging], "orders"); err != nil || strings.Contains(columns, "total_cents") {
		t.Errorf("table orders has the columns %s (%v), want none of migration 3", columns, err)
	}
	wantPhase(t, s, "orders-staging", common.OperationFailed)
	verdict, err := s.Verdict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"0003_add_total.sql:4", "42701", f.Hint} {
		if !strings.Contains(verdict, part) {
			t.Errorf("the Application does not tell %q:\n%s", part, verdict)
		}
	}
	// what runs goes on running
	for _, app := range []string{"orders", "storefront"} {
		if phase, ready, err := s.Pod(t.Context(), app); err != nil || !ready {
			t.Errorf("after the failure %s is %s, ready %t (%v)", app, phase, ready, err)
		}
	}
}

func mended(t *testing.T, s *story.Story) {
	r, err := s.Push(t.Context(), "orders: add the total only", map[string]string{story.ThirdFile: story.Mended})
	if err != nil {
		t.Fatal(err)
	}
	wantSucceeded(t, r, "3")
	wantReady(t, s, story.Staging, "3")
	wantLedger(t, s, story.Staging, "1", "2", "3")
	wantPhase(t, s, "orders-staging", common.OperationSucceeded)
}

// promoted raises production's target: it was left alone by everything above.
func promoted(t *testing.T, s *story.Story) {
	wantLedger(t, s, "production", "1")
	if err := s.Repo.Write("orders/overlays/production/schemamigration.yaml", productionUpTo(t, "3")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Repo.Push(t.Context(), "orders: production follows"); err != nil {
		t.Fatal(err)
	}
	wantEventually(t, "production is ready at version 3", func(ctx context.Context) bool {
		state, err := s.State(ctx, "production", story.Database)
		return err == nil && state.Ready != nil && state.Ready.Version == "3"
	})
	wantLedger(t, s, "production", "1", "2", "3")
}

// productionUpTo is the example's production overlay with another target.
func productionUpTo(t *testing.T, version string) string {
	t.Helper()
	content, err := os.ReadFile("../../../examples/shop/orders/overlays/production/schemamigration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	raised := strings.Replace(string(content), `target: "1"`, `target: "`+version+`"`, 1)
	if raised == string(content) {
		t.Fatal("the example's production overlay has no target to raise")
	}
	return raised
}

// wrong pushes an overlay that cannot be rendered together with one that can: the one is said, the other goes on, and the
// first heals with its next push.
func wrong(t *testing.T, s *story.Story) {
	const path = "orders/overlays/staging/schemamigration.yaml"
	right, err := os.ReadFile(filepath.Join("../../../examples/shop", path))
	if err != nil {
		t.Fatal(err)
	}
	const fourth = "orders/migrations/0004_currency.sql"
	files := map[string]string{
		path:   strings.Replace(string(right), "source:", "sorce:", 1),
		fourth: "ALTER TABLE orders ADD COLUMN currency text NOT NULL DEFAULT 'EUR';\n",
		"orders/overlays/production/schemamigration.yaml": productionUpTo(t, "4"),
	}
	for path, content := range files {
		if err := s.Repo.Write(path, content); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Repo.Push(t.Context(), "orders: add a currency"); err != nil {
		t.Fatal(err)
	}
	wantEventually(t, "production is ready at version 4", func(ctx context.Context) bool {
		state, err := s.State(ctx, "production", story.Database)
		return err == nil && state.Ready != nil && state.Ready.Version == "4"
	})
	wantReady(t, s, story.Staging, "3")
	wantEventually(t, "the controller names the file, the line and the remedy", func(ctx context.Context) bool {
		log, err := s.Cluster.ControllerLog(ctx)
		return err == nil && strings.Contains(log, path+":7: ") && strings.Contains(log, "sorce")
	})
	r, err := s.Push(t.Context(), "orders: spell it right", map[string]string{path: string(right)})
	if err != nil {
		t.Fatal(err)
	}
	wantSucceeded(t, r, "4")
}

// away stops the NATS server while a migration runs: the event comes once it is back, and nothing else is lost.
func away(t *testing.T, s *story.Story) {
	nats := component(t, "nats")
	signal(t, nats, syscall.SIGSTOP)
	resume := func() { syscall.Kill(nats, syscall.SIGCONT) }
	t.Cleanup(resume)
	back := time.AfterFunc(20*time.Second, resume)
	defer back.Stop()
	stopped := time.Now()
	r, err := s.Push(t.Context(), "orders: note", map[string]string{"orders/migrations/0005_note.sql": "ALTER TABLE orders ADD COLUMN note text;\n"})
	if err != nil {
		t.Fatal(err)
	}
	wantSucceeded(t, r, "5")
	wantReady(t, s, story.Staging, "5")
	if applied := r.Event.Ready.Since; applied.Sub(stopped) > 20*time.Second || r.Published.Sub(stopped) < 20*time.Second {
		t.Errorf("NATS was away from %s on for 20 s; the migration was applied at %s and told at %s: want applied meanwhile, told after",
			stopped.Format(time.TimeOnly), applied.Format(time.TimeOnly), r.Published.Format(time.TimeOnly))
	}
}

// orphaned kills the leading replica of the controller while a migration runs: the other one takes over, and tells of the
// result once.
func orphaned(t *testing.T, s *story.Story) {
	killed := make(chan error, 1)
	go func() { killed <- killLeader(t.Context(), s, "schema-orders-6-") }()
	r, err := s.Push(t.Context(), "orders: slow", map[string]string{"orders/migrations/0006_slow.sql": "SELECT pg_sleep(5);\n"})
	if err := errors.Join(err, <-killed); err != nil {
		t.Fatal(err)
	}
	wantSucceeded(t, r, "6")
	wantReady(t, s, story.Staging, "6")
	// the message above was heard as it was published; what is stored is what counts
	told := map[events.Predicate]int{}
	wantEventually(t, "the stream tells the end of version 6", func(ctx context.Context) bool {
		list, err := s.Events(ctx, story.Staging)
		clear(told)
		for _, e := range list {
			if e.Attempt != nil && e.Attempt.Version == "6" {
				told[e.Predicate]++
			}
		}
		return err == nil && told[events.Succeeded] > 0
	})
	if told[events.Started] != 1 || told[events.Succeeded] != 1 || len(told) != 2 {
		t.Errorf("of version 6 was told: %v, want that it started and succeeded, once each", told)
	}
}

// killLeader waits for a Job whose name begins with prefix to run, and then ends the Pod of the leading replica at once.
func killLeader(ctx context.Context, s *story.Story, prefix string) error {
	for {
		jobs, err := s.Cluster.MigrationJobs(ctx, story.Staging)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(jobs, func(j batchv1.Job) bool { return strings.HasPrefix(j.Name, prefix) && j.Status.Active > 0 }) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	var lease coordinationv1.Lease
	if err := s.Cluster.Get(ctx, client.ObjectKey{Namespace: "schemawave", Name: "schemawave"}, &lease); err != nil {
		return err
	}
	var pods corev1.PodList
	if err := s.Cluster.List(ctx, &pods, client.InNamespace("schemawave")); err != nil {
		return err
	}
	for _, pod := range pods.Items {
		if strings.Contains(*lease.Spec.HolderIdentity, "//"+pod.Status.PodIP+":") {
			return s.Cluster.Delete(ctx, &pod, client.GracePeriodSeconds(0))
		}
	}
	return fmt.Errorf("no Pod has the address of the leader, %s", *lease.Spec.HolderIdentity)
}

// lookAround runs what the documentation gives to look around with, as it stands there.
func lookAround(t *testing.T, _ *story.Story) {
	page, err := os.ReadFile("../../../docs/demo.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Look around\n")
	t.Setenv("TMPDIR", t.TempDir())
	ran := 0
	for line := range strings.Lines(section) {
		command, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		ran++
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir = "../../.."
		if out, err := cmd.CombinedOutput(); err != nil || len(out) == 0 {
			t.Errorf("%s%v\n%s", command, err, out)
		}
	}
	if !found || ran < 5 {
		t.Errorf("%d commands were found, want several: is the documentation still where it was?", ran)
	}
}

// imaged takes the migrations out of the repository: they are in an image with nothing else in it, whose tag the overlay sets. A
// release is then a new tag. The ledger goes on where it was, and the version comes from the report.
func imaged(t *testing.T, s *story.Story) {
	const overlay = "orders/overlays/staging/"
	more, jobs := map[string]string{}, map[string]bool{}
	files := map[string]string{overlay + "schemamigration.yaml": `apiVersion: schemawave.dev/v1alpha1
kind: SchemaMigration
metadata:
  name: orders
  annotations: {config.kubernetes.io/local-config: "true"}
spec:
  source:
    image: {name: orders-migrations, path: /migrations}
  database:
    urlFrom: {secretKeyRef: {name: orders-db, key: url}}
`}
	for _, tag := range []string{"7", "8"} {
		more["000"+tag+"_of_image.sql"] = "ALTER TABLE orders ADD COLUMN of_image_" + tag + " int;\n"
		if err := s.LoadMigrations(t.Context(), "lab.local/orders-migrations:"+tag, more); err != nil {
			t.Fatal(err)
		}
		files[overlay+"kustomization.yaml"] = "namespace: staging\nresources: [../../base, schemawave]\n" +
			"images: [{name: orders-migrations, newName: lab.local/orders-migrations, newTag: \"" + tag + "\"}]\n"
		r, err := s.Push(t.Context(), "orders: migrations "+tag, files)
		if err != nil {
			t.Fatal(err)
		}
		wantSucceeded(t, r, tag)
		wantReady(t, s, story.Staging, tag)
		if !strings.HasPrefix(r.Job, "schema-orders-image-") || jobs[r.Job] {
			t.Errorf("tag %s was run by the Job %s, want one of its own", tag, r.Job)
		}
		jobs[r.Job] = true
	}
	wantLedger(t, s, story.Staging, "1", "2", "3", "4", "5", "6", "7", "8")
}

// tooled leaves the migrations to a tool: psql, as a team might use it, in an image of its own. It connects by the variables of
// a framework, which a Secret brings; the runner by those made from them.
func tooled(t *testing.T, s *story.Story) {
	u, err := url.Parse(s.Databases[story.Staging])
	if err != nil {
		t.Fatal("the database's URL is none")
	}
	password, _ := u.User.Password()
	if err := s.Cluster.PutSecret(t.Context(), story.Staging, "framework", map[string]string{
		"DB_HOST": u.Hostname(), "DB_PORT": u.Port(), "DB_DATABASE": strings.TrimPrefix(u.Path, "/"), "DB_USERNAME": u.User.Username(), "DB_PASSWORD": password,
	}); err != nil {
		t.Fatal(err)
	}
	psql, err := s.LoadPsql(t.Context(), "lab.local/tool:9", map[string]string{
		"right.sql": "CREATE TABLE by_tool (version bigint);\nINSERT INTO by_tool VALUES (9);\n",
		"wrong.sql": "ALTER TABLE by_tool ADD COLUMN version bigint;\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	declaration := func(file string) map[string]string {
		return map[string]string{"orders/overlays/staging/schemamigration.yaml": `apiVersion: schemawave.dev/v1alpha1
kind: SchemaMigration
metadata:
  name: orders
  annotations: {config.kubernetes.io/local-config: "true"}
spec:
  source:
    tool:
      image: lab.local/tool:9
      command: [` + psql + `, --no-psqlrc, --single-transaction, --set=ON_ERROR_STOP=1, --file, ` + file + `]
      workingDir: /app
      history: custom
      historyQuery: SELECT max(version) FROM by_tool
  database:
    envFrom:
    - secretRef: {name: framework}
    env:
    - {name: PGHOST, value: $(DB_HOST)}
    - {name: PGPORT, value: $(DB_PORT)}
    - {name: PGDATABASE, value: $(DB_DATABASE)}
    - {name: PGUSER, value: $(DB_USERNAME)}
    - {name: PGPASSWORD, value: $(DB_PASSWORD)}
`}
	}
	r, err := s.Push(t.Context(), "orders: by psql", declaration("right.sql"))
	if err != nil {
		t.Fatal(err)
	}
	wantSucceeded(t, r, "9")
	wantReady(t, s, story.Staging, "9")
	if !strings.HasPrefix(r.Job, "schema-orders-tool-") {
		t.Errorf("the Job is %s", r.Job)
	}
	if r, err = s.Push(t.Context(), "orders: by psql, broken", declaration("wrong.sql")); err != nil {
		t.Fatal(err)
	}
	if f := r.Event.Attempt.Failure; r.Event.Predicate != events.Failed || f == nil || !strings.Contains(f.Message, "already exists") {
		t.Errorf("the event is %s: %s, want failed, in the words of psql", r.Message.Subject, r.Message.Data)
	}
	wantReady(t, s, story.Staging, "9")
}

func wantSucceeded(t *testing.T, r story.Release, version string) {
	t.Helper()
	if r.Event.Predicate != events.Succeeded {
		t.Fatalf("the event is %s: %s, want succeeded", r.Message.Subject, r.Message.Data)
	}
	if a := r.Event.Attempt; a.Version != version || a.Revision != r.Rendered || a.Evidence != events.EvidenceReport {
		t.Errorf("the attempt is %+v, want version %s of revision %s, by report", a, version, r.Rendered)
	}
	for name, want := range map[string]string{"ce-specversion": "1.0", "ce-type": "dev.cdeventsx.schemawave-schemamigration.succeeded.0.1.0"} {
		if got := r.Message.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
}

func wantReady(t *testing.T, s *story.Story, environment, version string) {
	t.Helper()
	state, err := s.State(t.Context(), environment, story.Database)
	if err != nil {
		t.Fatal(err)
	}
	if state.Ready == nil || state.Ready.Version != version {
		t.Errorf("%s is ready at %+v, want version %s", state.Name(), state.Ready, version)
	}
}

func wantLedger(t *testing.T, s *story.Story, environment string, versions ...string) {
	t.Helper()
	rows, err := story.Ledger(t.Context(), s.Databases[environment])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		got = append(got, row.Version)
	}
	if strings.Join(got, " ") != strings.Join(versions, " ") {
		t.Errorf("the ledger of %s holds versions %v, want %v", environment, got, versions)
	}
}

func wantPhase(t *testing.T, s *story.Story, application string, phase common.OperationPhase) {
	t.Helper()
	wantEventually(t, application+" is "+string(phase), func(ctx context.Context) bool {
		app, err := s.Cluster.Application(ctx, application)
		return err == nil && app.Status.OperationState != nil && app.Status.OperationState.Phase == phase
	})
}

// wantEventually fails the test unless ok holds within a minute.
func wantEventually(t *testing.T, what string, ok func(context.Context) bool) {
	t.Helper()
	wantWithin(t, time.Minute, what, ok)
}

func wantWithin(t *testing.T, patience time.Duration, what string, ok func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !ok(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("not so within %s: %s", patience, what)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
