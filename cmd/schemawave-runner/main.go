// Command schemawave-runner is what runs inside pods: it migrates a database, and waits for schemas.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/cmd/runner"
)

func main() { os.Exit(int(cli.Main(command()))) }

func command() *cobra.Command {
	root := &cobra.Command{
		Use:     "schemawave-runner",
		Short:   "Migrate a database, or wait for its schema, inside a pod",
		Version: cli.Version,
	}
	root.AddCommand(runner.Commands(os.Getenv)...)
	return root
}
