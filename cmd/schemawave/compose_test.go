package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// TestCompose runs what the services of examples/compose run, with their arguments and variables, in the order in which they start; in
// place of its PostgreSQL and its NATS there are others.
func TestCompose(t *testing.T) {
	dir := filepath.Join("..", "..", "examples", "compose")
	text, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image       string                       `json:"image"`
			Command     []string                     `json:"command"`
			Environment map[string]string            `json:"environment"`
			Volumes     []string                     `json:"volumes"`
			DependsOn   map[string]map[string]string `json:"depends_on"`
		} `json:"services"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"migrate": "schemawave", "wait-for-schema": "schemawave-runner", "service": "example-shop"} {
		if image := "ghcr.io/schemawave/" + want + ":" + cli.Version; file.Services[name].Image != image {
			t.Errorf("the image of %s is %s, want %s", name, file.Services[name].Image, image)
		}
	}
	want := map[string]map[string]string{"wait-for-schema": {"condition": "service_completed_successfully"}}
	if diff := cmp.Diff(want, file.Services["service"].DependsOn); diff != "" {
		t.Errorf("the service starts after (-want +got):\n%s", diff)
	}

	server, err := postgrestest.Start(t.Context(), postgrestest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	database, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	broker, err := natstest.Start(natstest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	instead := map[string]string{"postgres://orders:orders@postgres:5432/orders": database, "nats://nats:4222": broker.URL()}
	for _, name := range []string{"migrate", "wait-for-schema"} {
		s := file.Services[name]
		for k, v := range s.Environment {
			if other, ok := instead[v]; ok {
				v = other
			}
			t.Setenv(k, v)
		}
		args := slices.Clone(s.Command)
		for _, v := range s.Volumes {
			from, to, _ := strings.Cut(strings.TrimSuffix(v, ":ro"), ":")
			volume := t.TempDir() // without the repository around it, as in a container
			if err := os.CopyFS(volume, os.DirFS(filepath.Join(dir, from))); err != nil {
				t.Fatal(err)
			}
			for i, a := range args {
				args[i] = strings.Replace(a, to, volume, 1)
			}
		}
		c := command()
		c.SetArgs(args)
		if err := c.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	db, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), file.Services["service"].Environment["QUERY"]); err != nil {
		t.Errorf("the service's query: %v", err)
	}
}
