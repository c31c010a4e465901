package main

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/schemawave/schemawave/cmd/lab/build"
	"github.com/schemawave/schemawave/cmd/lab/host"
	"github.com/schemawave/schemawave/cmd/lab/stack"
)

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run -- COMMAND...",
		Short: "start a lab, run a command in it, end the lab",
		Long: "run starts a lab in a fresh directory, runs a command in it as exec does, and ends the lab whatever happens.\n" +
			"It exits with the command's exit code.",
		Example: "  go run ./cmd/lab run --control-plane -- go test ./...\n  go run ./cmd/lab run --sync-wave-delay 0s -- go test ./cmd/lab/e2e/...",
		Args:    atLeast(1, "the command"),
	}
	cmd.Flags().SetInterspersed(false)
	options := optionFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return runIn(cmd, *options, args) }
	return cmd
}

func runIn(cmd *cobra.Command, options stack.Options, args []string) (err error) {
	if err := followParent(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	tools, err := build.FindToolchain(ctx)
	if err != nil {
		return err
	}
	if err := tools.DownloadModules(ctx); err != nil {
		return err
	}
	l := host.Fresh()
	if _, err := bringUp(ctx, l, options, true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.End()) }()
	return inside(l, args)
}

// followParent asks for a SIGTERM when go run ends, which ends on SIGTERM without a word to its child. Any other parent
// may end before its child if it likes.
func followParent() error {
	parent, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(os.Getppid()), "exe"))
	if err != nil || filepath.Base(parent) != "go" {
		return nil
	}
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0)
}
