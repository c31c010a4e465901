// Command schemawave is everything: the controller, the renderer, the view of people and administrators, and all that
// schemawave-runner has.
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
		Use:     "schemawave",
		Short:   "Database schema migrations as a first-class citizen of GitOps",
		Version: cli.Version,
	}
	root.AddCommand(newRender(), newController(os.Getenv), newDev(os.Getenv), newStatus(os.Getenv), newExplain(os.Getenv), newEvents(os.Getenv), newStreams(os.Getenv))
	root.AddCommand(newPlan(os.Getenv), newHistory(os.Getenv), newDown(os.Getenv), newBaseline(os.Getenv), newImport(os.Getenv), newRepair(os.Getenv))
	root.AddCommand(runner.Commands(os.Getenv)...)
	return root
}
