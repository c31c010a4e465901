package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	yamlv3 "gopkg.in/yaml.v3"
	"sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/controller/environment"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// config is the controller's configuration file. docs/install.md is its reference.
type config struct {
	NATS         natsConfig          `json:"nats"`
	ArgoCD       argoConfig          `json:"argocd"`
	Environments *environment.Config `json:"environments"` // nil: nothing is rendered
	Gates        gatesConfig         `json:"gates"`
	Image        string              `json:"image"` // of the runner in rendered Jobs; empty: this release's
	Listen       listenConfig        `json:"listen"`
}

type natsConfig struct {
	URL      string `json:"url"`      // NATS_URL comes before it
	Replicas int    `json:"replicas"` // copies of each stream; zero means 1
}

type argoConfig struct {
	Namespaces       []string `json:"namespaces"`       // of Applications; none means everywhere
	JobNamespaces    []string `json:"jobNamespaces"`    // of Jobs and Pods; none means everywhere
	ApplicationsOnly bool     `json:"applicationsOnly"` // read no Jobs and Pods
	LocalServers     []string `json:"localServers"`     // further servers or names by which Applications deploy to this cluster
	ClusterSecrets   string   `json:"clusterSecrets"`   // namespace of Argo CD's; empty: Jobs and Pods are read in this cluster alone

	Heal controller.Heal `json:"heal"` // off, alert or sync; alert if left out
}

type gatesConfig struct {
	Release    bool     `json:"release"`    // release Pods that wait by a scheduling gate
	Namespaces []string `json:"namespaces"` // of these Pods; none means everywhere
}

type listenConfig struct {
	Webhook string `json:"webhook"`
	Metrics string `json:"metrics"`
	Health  string `json:"health"`
}

// readConfig reads and checks the file. Every error names the field, or the line, and what to write instead.
func readConfig(path string) (config, error) {
	c := config{Listen: listenConfig{Webhook: ":8080", Metrics: ":8081", Health: ":8082"}}
	b, err := os.ReadFile(path)
	if err != nil {
		return c, &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("read the configuration: %w", err), Hint: "name an existing file with --config"}
	}
	if err := yaml.UnmarshalStrict(b, &c); err != nil {
		return c, &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("%s: %s", path, strings.ReplaceAll(err.Error(), "\n", " ")), Hint: "docs/install.md lists the fields"}
	}
	if !alone(b) {
		return c, cli.Exit(migrations.ExitConfig, fmt.Errorf("%s: a second YAML document: write all of it in one, without --- between", path))
	}
	if n := c.NATS.Replicas; n < 0 || n > 5 {
		return c, cli.Exit(migrations.ExitConfig, fmt.Errorf("%s: nats.replicas: %d: want 1 to 5", path, n))
	}
	if c.Image != "" && !manifests.IsImage(c.Image) {
		return c, cli.Exit(migrations.ExitConfig, fmt.Errorf("%s: image: %q %s", path, c.Image, notAnImage))
	}
	switch c.ArgoCD.Heal {
	case "", controller.HealOff, controller.HealAlert, controller.HealSync:
	default:
		return c, cli.Exit(migrations.ExitConfig, fmt.Errorf("%s: argocd.heal: %q: want off, alert or sync", path, c.ArgoCD.Heal))
	}
	if c.ArgoCD.ApplicationsOnly && c.ArgoCD.ClusterSecrets != "" {
		return c, cli.Exit(migrations.ExitConfig, fmt.Errorf("%s: argocd.clusterSecrets: leave it out, or applicationsOnly", path))
	}
	if c.Environments != nil {
		if err := c.Environments.Validate(); err != nil {
			return c, cli.Exit(migrations.ExitConfig, fmt.Errorf("%s: %w", path, err))
		}
	}
	return c, nil
}

// alone reports whether a YAML document is the only one of its file. What follows another would be left out without a word.
func alone(file []byte) bool {
	documents := yamlv3.NewDecoder(bytes.NewReader(file))
	var first, second yamlv3.Node
	return documents.Decode(&first) != nil || errors.Is(documents.Decode(&second), io.EOF)
}

// notAnImage is what is wrong with the name of the runner's image, and what to write instead.
const notAnImage = "is not the name of an image: write it as in " + manifests.RunnerImage + ", in lower case"
