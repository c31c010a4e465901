package main

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/lab/image"
	"github.com/schemawave/schemawave/cmd/lab/stack"
)

func loadImageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "load-image NAME:TAG BINARY",
		Short: "put an image with one static binary into a lab",
		Long: "load-image builds an image that holds nothing but a static binary and imports it into the lab's clusters, so that pods\n" +
			"can use it by that name. Any tag but latest will do.",
		Example: "  CGO_ENABLED=0 go build -o /tmp/app ./cmd/app && lab load-image lab.local/app:1 /tmp/app",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage{errors.New("an image's name and a binary are needed")}
			}
			return nil
		},
	}
	lab := labFlag(cmd)
	entrypoint := cmd.Flags().String("entrypoint", "", "path of the binary in the image (default /NAME, as the binary is named)")
	user := cmd.Flags().String("user", "65532", "user, or user:group, that the image runs as")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := lab()
		if err != nil {
			return err
		}
		if err := l.Alive(); err != nil {
			return err
		}
		target := *entrypoint
		if target == "" {
			target = path.Join("/", filepath.Base(args[1]))
		}
		config, err := stack.Load(l.Dir)
		if err != nil {
			return err
		}
		program, err := image.FromFile(target, args[1], 0o755)
		if err != nil {
			return err
		}
		made := image.Image{Name: args[0], Files: []image.File{program}, Entrypoint: []string{target}, User: *user}
		for _, cluster := range config.Clusters() {
			if err := image.Load(cmd.Context(), cluster, made); err != nil {
				return err
			}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n", args[0])
		return nil
	}
	return cmd
}
