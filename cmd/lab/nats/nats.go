// Package nats runs the lab's NATS server with JetStream, open to everybody in the lab's network.
package nats

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// Port NATS listens on, at every address of the lab.
const Port = 4222

const monitor = "127.0.0.1:8222"

// Component is the server: program is the nats-server binary, dir its directory, which is made.
func Component(program, dir string) supervise.Component {
	config := filepath.Join(dir, "nats.conf")
	return supervise.Component{
		Name: "nats",
		Prepare: func(context.Context, io.Writer) error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("make a directory for NATS: %w", err)
			}
			return os.WriteFile(config, fmt.Appendf(nil, "server_name: lab\nlisten: \"0.0.0.0:%d\"\nhttp: %q\njetstream { store_dir: %q }\n",
				Port, monitor, filepath.Join(dir, "jetstream")), 0o644)
		},
		Command: []string{program, "--config", config},
		Ready: func(ctx context.Context) error {
			return supervise.Answers(ctx, "http://"+monitor+"/healthz?js-enabled-only=true")
		},
	}
}
