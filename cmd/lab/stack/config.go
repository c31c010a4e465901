// Package stack says what a lab consists of: which components, with which settings, and what a command in the lab finds
// in its environment.
package stack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options are what a person can choose.
type Options struct {
	// ArgoCD is the release of Argo CD, such as 2.14.
	ArgoCD string
	// ControlPlane leaves out everything but the Kubernetes API and its controllers.
	ControlPlane bool
	// SecondCluster adds a Kubernetes with a node of its own, which Argo CD can be told of; not with ControlPlane.
	SecondCluster bool
	// SyncWaveDelay is how long Argo CD pauses after each sync wave.
	SyncWaveDelay time.Duration
	// Reconciliation is how often Argo CD polls repositories.
	Reconciliation time.Duration
}

// Config is what the lab's processes know; it is handed to them in a file of the state directory.
type Config struct {
	Options
	// Dir is the state directory.
	Dir string
	// Binaries are the paths of the built programs by name.
	Binaries map[string]string
	// ArgoCDSource is the directory of Argo CD's source, which holds its CRDs.
	ArgoCDSource string
	// PostgreSQL is the directory of PostgreSQL's programs.
	PostgreSQL string
	// Password is the PostgreSQL superuser's.
	Password string
	// Keep are directories that stay the machine's own where the lab covers what is around them.
	Keep []string
}

// file of the state directory; for root only, because it holds the password.
const file = "config.json"

// Save writes the configuration to its state directory.
func (c Config) Save() error {
	content, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("save the lab's configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, file), content, 0o600); err != nil {
		return fmt.Errorf("save the lab's configuration: %w", err)
	}
	return nil
}

// Load reads the configuration of a state directory.
func Load(dir string) (Config, error) {
	var c Config
	content, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return c, fmt.Errorf("load the lab's configuration: %w", err)
	}
	if err := json.Unmarshal(content, &c); err != nil {
		return c, fmt.Errorf("load the lab's configuration: %w", err)
	}
	return c, nil
}

func (c Config) path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir}, elem...)...)
}
