package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/kustomize"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

func newRender() *cobra.Command {
	var check, stdout bool
	var opts kustomize.Options
	c := &cobra.Command{
		Use:   "render OVERLAY...",
		Short: "Write the migration Jobs that overlays declare, and the gates of workloads that wait",
		Long: `Write, into the directory schemawave of each overlay, the objects that its SchemaMigration files declare, and the init
containers of workloads annotated schemawave.dev/wait-for, and list them in the overlay's kustomization. Nothing is written
unless the overlay then builds. The same repository gives the same bytes on every machine.

With --check nothing is written: the difference is printed, and the exit code is 65 if there is one.

With --stdout nothing is written either: the objects that the overlay yields are printed, as kustomize build prints them once the
overlay is rendered, for an Argo CD config management plugin. The values of Secrets in the overlay are among them.

A warning on standard error tells what works and will surprise, as an image whose tag moves. It changes no exit code.

Exit codes: 0 done, or nothing to do · 65 an overlay is wrong, or stale (--check) · 64 wrong usage.`,
		Example: `  schemawave render orders/overlays/production
  schemawave render --check orders/overlays/*
  schemawave render --stdout .`,
		Args: cobra.MinimumNArgs(1),
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, args []string) error {
			if opts.Image != "" && !manifests.IsImage(opts.Image) {
				return cli.Usage("--image %q %s", opts.Image, notAnImage)
			}
			if stdout {
				return printOverlays(ctx, c.OutOrStdout(), c.ErrOrStderr(), args, opts)
			}
			return render(ctx, c.OutOrStdout(), c.ErrOrStderr(), args, opts, check)
		}),
	}
	c.Flags().BoolVar(&check, "check", false, "write nothing; print what would change")
	c.Flags().BoolVar(&opts.Remote, "remote", false, "fetch remote bases and files, as kustomize does; without it they are refused")
	c.Flags().BoolVar(&stdout, "stdout", false, "write nothing; print the objects of the rendered overlays")
	c.MarkFlagsMutuallyExclusive("check", "stdout")
	rootFlag(c, &opts.Root)
	c.Flags().StringVar(&opts.Image, "image", "", "image of the runner in the Jobs and gates (default: this release's)")
	return c
}

// rootFlag is for where no .git is: in an image, in a volume, in an archive that was unpacked.
func rootFlag(c *cobra.Command, root *string) {
	c.Flags().StringVar(root, "root", "", "root of the repository, out of which nothing is read (default: the nearest directory around the overlay with a .git)")
}

// render renders all overlays, whatever becomes of one of them, and returns what was wrong with any.
func render(ctx context.Context, out, warnings io.Writer, overlays []string, opts kustomize.Options, check bool) error {
	var errs []error
	stale := 0
	next := 0
	for result, err := range (&kustomize.Pass{Options: opts}).All(ctx, overlays) {
		overlay := overlays[next]
		next++
		for _, w := range result.Warnings() {
			fmt.Fprintf(warnings, "warning: %s\n", w)
		}
		switch {
		case err != nil:
			errs = append(errs, rendering(err))
		case !result.Changed():
			fmt.Fprintf(out, "%s is up to date\n", overlay)
		case check:
			stale++
			fmt.Fprint(out, result.Diff())
		default:
			if err := result.Write(); err != nil {
				errs = append(errs, cli.Exit(migrations.ExitConfig, err))
				continue
			}
			for _, f := range result.Files {
				fmt.Fprintf(out, "%s %s\n", verb(f), f.Path)
			}
		}
	}
	if stale > 0 {
		errs = append(errs, &cli.Error{Code: migrations.ExitRejected, Err: fmt.Errorf("%d of %d overlays are stale", stale, len(overlays)),
			Hint: "run schemawave render without --check, and commit what it writes"})
	}
	return errors.Join(errs...)
}

// printOverlays prints what the overlays yield once they are rendered: all of it or, on an error, nothing, so that nobody
// applies a part.
func printOverlays(ctx context.Context, out, warnings io.Writer, overlays []string, opts kustomize.Options) error {
	var objects bytes.Buffer
	var errs []error
	opts.Yield = true
	for result, err := range (&kustomize.Pass{Options: opts}).All(ctx, overlays) {
		for _, w := range result.Warnings() {
			fmt.Fprintf(warnings, "warning: %s\n", w)
		}
		if err != nil {
			errs = append(errs, rendering(err))
			continue
		}
		content, err := result.YAML()
		if err != nil {
			errs = append(errs, err)
		}
		if objects.Len() > 0 && len(content) > 0 {
			objects.WriteString("---\n")
		}
		objects.Write(content)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	_, err := out.Write(objects.Bytes())
	return err
}

// rendering gives an error that is not the repository's fault its exit code.
func rendering(err error) error {
	if p := (kustomize.Problems)(nil); errors.As(err, &p) {
		return err
	}
	return cli.Exit(migrations.ExitConfig, err)
}

func verb(f kustomize.File) string {
	switch {
	case f.Before == nil:
		return "created"
	case f.After == nil:
		return "removed"
	}
	return "changed"
}
