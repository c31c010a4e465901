package cmd_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/cmd/runner"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// TestRunnerTakesWhatIsRendered parses the arguments of rendered Jobs, guards among them, with everything set that can be, as the runner does.
func TestRunnerTakesWhatIsRendered(t *testing.T) {
	second := time.Second
	for kind, source := range map[string]manifests.Source{
		"image": {Image: &manifests.ImageSource{Name: "orders:1", Path: "/migrations", Layout: "goose"}},
		"tool":  {Tool: &manifests.ToolSource{Image: "orders:1", Command: []string{"knex", "--env", "x", "migrate:latest"}, History: "knex", HistoryTable: "app.history"}},
		"files": {Directory: "migrations"},
		"query": {Tool: &manifests.ToolSource{Image: "orders:1", Command: []string{"knex"}, History: "custom", HistoryQuery: "SELECT 1"}},
	} {
		in := manifests.Input{Migration: manifests.SchemaMigration{
			Name: "orders", Environment: "production", Source: source, MinCompatible: "1", Guard: true,
			Database: manifests.Database{Env: []corev1.EnvVar{{Name: "PGHOST", Value: "db"}}},
			Policy:   manifests.Policy{LockTimeout: &second, StatementTimeout: &second, Deadline: &second},
		}}
		switch kind {
		case "files":
			in.Set = migrations.Set{Layout: "flyway", Migrations: []migrations.Migration{{Version: "1", Checksum: "sha256:1"}}, Repeatables: []migrations.Migration{{Name: "v", Checksum: "sha256:v"}}}
			in.Files = map[string][]byte{"": nil}
		case "image":
			in.Migration.Target, in.Migration.Policy.OutOfOrder = "2", "skip"
			in.Migration.Tenants = &manifests.Tenants{Names: []string{"a", "b"}}
		}
		objects, err := manifests.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		jobs := 0
		for _, o := range objects {
			if job, ok := o.Value.(*batchv1.Job); ok {
				jobs++
				takes(t, kind+", "+string(o.Component), job.Spec.Template.Spec.Containers[0].Args, source.Tool)
			}
		}
		if jobs != 2 {
			t.Errorf("%s: %d Jobs, want the migration's and its guard", kind, jobs)
		}
	}
}

// takes parses arguments by the command that they begin with.
func takes(t *testing.T, what string, args []string, tool *manifests.ToolSource) {
	t.Helper()
	commands := runner.Commands(func(string) string { return "" })
	i := slices.IndexFunc(commands, func(c *cobra.Command) bool { return c.Name() == args[0] })
	if i < 0 {
		t.Fatalf("%s: the runner has no command %s", what, args[0])
	}
	if err := commands[i].ParseFlags(args[1:]); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if rest := commands[i].Flags().Args(); args[0] == "exec" && !slices.Equal(rest, tool.Command) {
		t.Errorf("%s: the command is %q", what, rest)
	}
}

// TestHistoriesAreTheSame holds the histories that may be declared to those that the runner reads.
func TestHistoriesAreTheSame(t *testing.T) {
	var read []string
	for _, tool := range postgres.HistoryTools() {
		read = append(read, string(tool))
	}
	declared := manifests.Histories()
	slices.Sort(read)
	slices.Sort(declared)
	if !slices.Equal(read, declared) {
		t.Errorf("declared: %s\nread:     %s", strings.Join(declared, " "), strings.Join(read, " "))
	}
}
