package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
)

func newInstall(executable func() (string, error)) *cobra.Command {
	return &cobra.Command{
		Use:   "install DIRECTORY",
		Short: "Copy this program into a directory",
		Long: `Copy this program into a directory, as an initContainer does for a container of another image that shares the volume.
The copy appears complete or not at all, and keeps this program's name.`,
		Example: "  schemawave-runner install /schemawave",
		Args:    cobra.ExactArgs(1),
		RunE: cli.Do(func(_ context.Context, c *cobra.Command, args []string) error {
			self, err := executable()
			if err != nil {
				return cli.Exit(migrations.ExitBug, fmt.Errorf("install: %w", err))
			}
			target, err := install(self, args[0])
			switch {
			case errors.Is(err, fs.ErrPermission):
				return &cli.Error{Code: migrations.ExitDenied, Err: err, Hint: "the directory must be writable for this user, as an emptyDir is"}
			case err != nil:
				return &cli.Error{Code: migrations.ExitConfig, Err: err, Hint: "name a directory that exists"}
			}
			fmt.Fprintln(c.OutOrStdout(), target)
			return nil
		}),
	}
}

// install copies the program into directory and returns the copy's path.
func install(program, directory string) (target string, err error) {
	in, err := os.Open(program)
	if err != nil {
		return "", fmt.Errorf("install: %w", err)
	}
	defer in.Close()
	out, err := os.CreateTemp(directory, ".schemawave-*")
	if err != nil {
		return "", fmt.Errorf("install: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Chmod(0o755), out.Close())
	if err != nil {
		return "", fmt.Errorf("install: %w", err)
	}
	target = filepath.Join(directory, filepath.Base(program))
	if err = os.Rename(out.Name(), target); err != nil {
		return "", fmt.Errorf("install: %w", err)
	}
	return target, nil
}
