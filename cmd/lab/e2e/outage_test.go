package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/cmd/lab/supervise"
	"github.com/schemawave/schemawave/events"
)

// silence is how long NATS answers nobody: the controller gives up a call after 15 seconds, and tries again.
const silence = 35 * time.Second

// outage has everything fail at once. NATS freezes, and is then killed; meanwhile the API server is killed while a migration runs, and all
// replicas of the controller once it is done and nothing is told yet. A second installation, which knows of no other, publishes beside the first.
// In the end it was told once what really was.
func outage(t *testing.T, s *story.Story) {
	const version = "17"
	startController(t)
	frozen := component(t, "nats")
	signal(t, frozen, syscall.SIGSTOP)
	stopped := time.Now()
	t.Cleanup(func() { syscall.Kill(frozen, syscall.SIGCONT) }) //nolint:errcheck // it was killed, or else it goes on

	promote(t, s, version, "SELECT pg_sleep(4);\n")
	job := func(done func(batchv1.Job) bool) func(context.Context) bool {
		return func(ctx context.Context) bool {
			jobs, err := s.Cluster.MigrationJobs(ctx, "production")
			return err == nil && slices.ContainsFunc(jobs, func(j batchv1.Job) bool {
				return strings.HasPrefix(j.Name, "schema-orders-"+version+"-") && done(j)
			})
		}
	}
	wantEventually(t, "the migration runs", job(func(j batchv1.Job) bool { return j.Status.Active > 0 }))
	signal(t, component(t, "kube-apiserver"), syscall.SIGKILL)
	wantEventually(t, "the migration is done", job(func(j batchv1.Job) bool { return j.Status.Succeeded > 0 }))
	wantEventually(t, "the controllers are killed", func(ctx context.Context) bool {
		return s.Cluster.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace("schemawave"), client.MatchingLabels{"app.kubernetes.io/name": "schemawave"},
			client.GracePeriodSeconds(0)) == nil
	})
	time.Sleep(time.Until(stopped.Add(silence)))
	signal(t, frozen, syscall.SIGKILL)
	back := time.Now()

	var state events.State
	wantEventually(t, "production is ready at version "+version, func(ctx context.Context) bool {
		var err error
		state, err = s.State(ctx, "production", story.Database)
		return err == nil && state.Ready != nil && state.Ready.Version == version
	})
	if r := state.Ready; r.Since.After(back) || r.Evidence != events.EvidenceReport || state.Obstacle != nil {
		t.Errorf("NATS came back at %s; ready is %+v, and in the way is %+v", back.Format(time.TimeOnly), r, state.Obstacle)
	}
	if err := s.Cluster.RolledOut(t.Context(), "schemawave", "schemawave"); err != nil {
		t.Fatal(err)
	}
	wantEventually(t, "the end of the migration is told", func(ctx context.Context) bool {
		return countEvents(t, s, "production", story.Database, version)[events.Succeeded] > 0
	})
	if n := countEvents(t, s, "production", story.Database, version); n[events.Succeeded] != 1 || n[events.Started] > 1 || len(n) > 2 {
		t.Errorf("of version %s was told: %v, want that it succeeded, once", version, n)
	}
}

// startController runs a controller beside the installed ones, with no Lease to lead by.
func startController(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	config, log := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "log")
	text := fmt.Sprintf("nats: {url: %q}\nlisten: {webhook: \"127.0.0.1:18080\", metrics: \"127.0.0.1:18081\", health: \"127.0.0.1:18082\"}\n", os.Getenv("NATS_URL"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.CommandContext(t.Context(), filepath.Join("..", "..", "..", "bin", "schemawave"), "controller", "--config", config)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		<-ended // it was killed, for its context is over
		if said, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("the second installation says:\n%s", said)
		}
	})
	wantEventually(t, "the second installation is ready", func(ctx context.Context) bool {
		return supervise.Answers(ctx, "http://127.0.0.1:18082/readyz") == nil
	})
}

// component returns the id of the process of a part of the lab, which starts again when it dies.
func component(t *testing.T, name string) int {
	t.Helper()
	all, err := supervise.Ask(t.Context(), filepath.Join(os.Getenv("LAB_DIR"), "status.sock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Name == name && c.PID > 0 {
			return c.PID
		}
	}
	t.Fatalf("the lab runs no %s: %+v", name, all)
	return 0
}

func signal(t *testing.T, process int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(process, s); err != nil {
		t.Fatal(err)
	}
}
