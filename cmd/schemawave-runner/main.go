// Command schemawave-runner is what runs inside pods: it migrates a database, and waits for schemas.
package main

import (
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/cmd/runner"
)

func main() {
	debug.SetGCPercent(200) // a run that finds nothing to do ends before its first garbage collection
	os.Exit(int(cli.Main(command())))
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:     "schemawave-runner",
		Short:   "Migrate a database, or wait for its schema, inside a pod",
		Version: cli.Version,
	}
	root.AddCommand(runner.Commands(os.Getenv)...)
	return root
}
