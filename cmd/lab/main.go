// Command lab runs a real single-node Kubernetes with Argo CD, PostgreSQL, NATS and a git server on this machine, for the
// demo and the end-to-end tests. It needs Linux, root, the go command and this checkout; on Debian it installs what
// else is missing. The lab lives in namespaces of its own and leaves nothing behind but a cache of built programs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/lab/host"
)

// Exit codes of lab itself; exec and run end with their command's.
const (
	exitUsage       = 64
	exitUnavailable = 69 // the lab is not running, or did not start
	exitNotFound    = 127
)

// exitCode is the exit code of a command that ran in the lab.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usage marks an error of the command line.
type usage struct{ error }

func main() {
	// a lab that run starts is tied to this thread, which has to be the one that lives longest
	runtime.LockOSThread()
	os.Exit(run(context.Background(), os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	root := command()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	var wrong usage
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "lab: %v; lab --help tells more\n", err)
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "lab: %v\n", err)
	return exitUnavailable
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "a real Kubernetes, Argo CD, PostgreSQL, NATS and git server on this machine",
		Long: "lab runs a real single-node Kubernetes with Argo CD, PostgreSQL, NATS and a git server in namespaces of its own.\n" +
			"Several labs can run side by side. A lab's state is in its directory, by default " + filepath.Join(host.Base, "default") + ".",
		Example: "  go run ./cmd/lab up\n  go run ./cmd/lab exec -- sh -c 'psql \"$DATABASE_URL\"'\n  go run ./cmd/lab down",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{fmt.Errorf("unknown command %q", args[0])}
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage{err} })
	root.AddCommand(upCommand(), downCommand(), runCommand(), execCommand(), kubectlCommand(), loadImageCommand(), statusCommand(), logsCommand())
	root.AddCommand(initCommand(), superviseCommand(), becomeCommand(), gitServerCommand())
	return root
}

// labFlag adds --dir to a command; the returned function gives the lab after parsing.
func labFlag(cmd *cobra.Command) func() (host.Lab, error) {
	dir := cmd.Flags().String("dir", labDir(), "the lab's state directory")
	return func() (host.Lab, error) {
		l, err := host.At(*dir)
		if err != nil {
			return l, usage{err}
		}
		return l, nil
	}
}

// labDir is the lab that is meant when none is named: in a lab that one, else the default one.
func labDir() string {
	if dir := os.Getenv("LAB_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(host.Base, "default")
}

// atLeast and none check the number of arguments.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < n {
			return usage{fmt.Errorf("missing: %s", what)}
		}
		return nil
	}
}

func none(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage{fmt.Errorf("unexpected: %s", args[0])}
	}
	return nil
}
