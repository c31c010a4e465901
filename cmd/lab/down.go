package main

import (
	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/lab/host"
)

func downCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "down",
		Short:   "end a lab and remove what it leaves, also of labs that were killed",
		Example: "  lab down",
		Args:    none,
	}
	lab := labFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		l, err := lab()
		if err != nil {
			return err
		}
		if err := l.End(); err != nil {
			return err
		}
		return host.Sweep()
	}
	return cmd
}
