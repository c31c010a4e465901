package story

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
)

// The names of the example.
const (
	Database = "orders"
	Staging  = "staging"
)

// environments are the overlays of the example, each a namespace.
var environments = []string{Staging, "production"}

// Story is one telling. It is not for concurrent use.
type Story struct {
	Cluster   Cluster
	Second    *Cluster // nil if there is none
	Repo      *Repository
	Databases map[string]string // each environment's database URL

	env      Environment
	tell     *Narrator
	dir      string
	nc       *nats.Conn
	releases []Release
}

// Begin connects to everything. The directory dir, which must exist, takes the developer's clone.
func Begin(ctx context.Context, env Environment, tell *Narrator, dir string) (*Story, error) {
	cluster, err := NewCluster(env.Kubeconfig)
	if err != nil {
		return nil, err
	}
	var second *Cluster
	if env.SecondKubeconfig != "" {
		c, err := NewCluster(env.SecondKubeconfig)
		if err != nil {
			return nil, fmt.Errorf("the second cluster: %w", err)
		}
		second = &c
	}
	nc, err := jetstream.Connect(ctx, jetstream.Options{URL: env.NATSURL, Name: "schemawave story"})
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return &Story{Cluster: cluster, Second: second, Databases: map[string]string{}, env: env, tell: tell, dir: dir, nc: nc}, nil
}

// Close ends the story's connections; what it has built stays.
func (s *Story) Close() { s.nc.Close() }

// State reads what NATS says of a database.
func (s *Story) State(ctx context.Context, environment, database string) (events.State, error) {
	p, err := jetstream.NewPublisher(s.nc)
	if err != nil {
		return events.State{}, err
	}
	state, _, err := p.State(ctx, environment, database, "")
	return state, err
}

// Events lists what NATS has been told of an environment since the story began.
func (s *Story) Events(ctx context.Context, environment string) ([]events.Event, error) {
	streams, err := jetstream.NewStreams(s.nc)
	if err != nil {
		return nil, err
	}
	return streams.Events(ctx, environment, s.tell.began)
}

// Install prepares the platform and installs the controller, as the administrator of a cluster would.
func (s *Story) Install(ctx context.Context) error {
	if err := unused(ctx, s.env.RepositoryURL); err != nil {
		return err
	}
	s.tell.Chapter("An administrator installs Schemawave")
	example := filepath.Join(s.env.Checkout, "examples", "shop")
	for _, part := range []string{"platform", "applications", "install"} {
		if err := copyTree(filepath.Join(example, part), filepath.Join(s.dir, "admin", "examples", "shop", part), s.env.replacements()); err != nil {
			return fmt.Errorf("copy the example: %w", err)
		}
	}
	if err := copyTree(filepath.Join(s.env.Checkout, "manifests", "install"), filepath.Join(s.dir, "admin", "manifests", "install"), nil); err != nil {
		return fmt.Errorf("copy the installation: %w", err)
	}
	if err := s.env.loadImages(ctx); err != nil {
		return err
	}
	if err := s.Cluster.Apply(ctx, s.admin("platform")); err != nil {
		return err
	}
	for _, environment := range environments {
		databaseURL, err := createDatabase(ctx, s.env.DatabaseURL, "orders_"+environment)
		if err != nil {
			return err
		}
		s.Databases[environment] = databaseURL
		if err := s.Cluster.PutSecret(ctx, environment, "orders-db", map[string]string{"url": databaseURL}); err != nil {
			return err
		}
	}
	s.tell.Tell("two environments, staging and production, each with a namespace and an empty database")
	if err := s.Cluster.Apply(ctx, s.admin("install")); err != nil {
		return err
	}
	if s.env.HookURL != "" {
		if err := s.Cluster.PutSecret(ctx, "schemawave", "schemawave", map[string]string{"webhook": hookSecret}); err != nil {
			return err
		}
	}
	s.tell.Tell("kubectl apply -k examples/shop/install")
	if err := s.Cluster.RolledOut(ctx, "schemawave", "schemawave"); err != nil {
		return err
	}
	s.tell.Tell("the controller is ready: two replicas, one leads")
	return nil
}

// Reinstall installs the controller anew, by a kustomization of the administrator's own: its files by name, in a directory
// beside that of the example's installation.
func (s *Story) Reinstall(ctx context.Context, files map[string]string) error {
	dir := s.admin("own")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("install the controller: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("install the controller: %w", err)
		}
	}
	if err := s.Cluster.Apply(ctx, dir); err != nil {
		return err
	}
	return s.Cluster.RolledOut(ctx, "schemawave", "schemawave")
}

// admin is the administrator's copy of a part of the example.
func (s *Story) admin(part string) string {
	return filepath.Join(s.dir, "admin", "examples", "shop", part)
}

// hookSecret signs the push webhooks of the lab's git server. It guards nothing but this throw-away lab.
const hookSecret = "the lab's webhook secret"

// registerHook asks the lab's git server to make the repository and to tell the controller of every push to it.
func (s *Story) registerHook(ctx context.Context) error {
	body, err := json.Marshal(map[string]string{"url": "http://schemawave.schemawave.svc.cluster.local/webhook", "secret": hookSecret})
	if err != nil {
		return fmt.Errorf("register the webhook: %w", err)
	}
	for _, put := range []struct {
		url, body string
	}{{strings.TrimSuffix(s.env.HookURL, "/hooks"), ""}, {s.env.HookURL, string(body)}} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, put.url, strings.NewReader(put.body))
		if err != nil {
			return fmt.Errorf("register the webhook: %w", err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("register the webhook: %w", err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("register the webhook: %s answered %s", put.url, resp.Status)
		}
	}
	return nil
}

// Found creates the environment repository from the example, with its first migration, and gives it to Argo CD. When it
// returns, orders is ready at version 1 in both environments and the storefront's pod waits for version 2.
func (s *Story) Found(ctx context.Context) (Release, error) {
	s.tell.Chapter("A team puts its environment repository into Argo CD")
	if s.env.HookURL != "" {
		if err := s.registerHook(ctx); err != nil {
			return Release{}, err
		}
		s.tell.Tell("the git host sends its pushes to the controller's webhook")
	}
	repo, err := Clone(ctx, s.env.RepositoryURL, filepath.Join(s.dir, "developer"), filepath.Join(s.env.Checkout, "examples", "shop"), s.env.replacements())
	if err != nil {
		return Release{}, err
	}
	s.Repo = repo
	return s.release(ctx, "add orders and storefront", func() error { return s.Cluster.Apply(ctx, s.admin("applications")) })
}

// Pod is the state of the storefront's pod in staging.
func (s *Story) Pod(ctx context.Context, app string) (phase string, ready bool, err error) {
	pods, err := s.Cluster.Pods(ctx, Staging, app)
	if err != nil {
		return "", false, err
	}
	if len(pods) == 0 {
		return "not there", false, nil
	}
	pod := pods[0]
	phase = string(pod.Status.Phase)
	for _, c := range pod.Status.InitContainerStatuses {
		if c.State.Running != nil {
			phase = "waiting for its schema (init container " + c.Name + ")"
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		ready = ready || c.Ready
	}
	return phase, ready, nil
}
