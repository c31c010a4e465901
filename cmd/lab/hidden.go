package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/lab/gitserver"
	"github.com/schemawave/schemawave/cmd/lab/host"
	"github.com/schemawave/schemawave/cmd/lab/stack"
	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// initCommand is the lab's PID 1.
func initCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "init", Hidden: true, Args: none}
	lab := labFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		l, err := lab()
		if err != nil {
			return err
		}
		config, err := stack.Load(l.Dir)
		if err != nil {
			return err
		}
		return l.Init(config.Keep, "supervise", "--dir", l.Dir)
	}
	return cmd
}

// superviseCommand is PID 1's child that runs the components.
func superviseCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "supervise", Hidden: true, Args: none}
	lab := labFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := lab()
		if err != nil {
			return err
		}
		signal.Ignore(syscall.SIGPIPE) // the command that started the lab may have gone away
		config, err := stack.Load(l.Dir)
		if err != nil {
			return err
		}
		components, err := config.Components(l.ID())
		if err != nil {
			return err
		}
		s, err := supervise.New(components, l.Path("logs"), config.ComponentEnvironment())
		if err != nil {
			return err
		}
		report := os.NewFile(host.ReportFD, "report")
		if err := s.StartAndReport(cmd.Context(), report); err != nil {
			return err
		}
		if err := report.Close(); err != nil {
			return err
		}
		return s.Serve(cmd.Context(), l.Path("status.sock"))
	}
	return cmd
}

// becomeCommand is what exec starts in the lab: it turns into the command.
func becomeCommand() *cobra.Command {
	return &cobra.Command{Use: "become", Hidden: true, Args: atLeast(1, "the command"), RunE: func(_ *cobra.Command, args []string) error {
		err := host.Become(args)
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		return exitCode(exitNotFound)
	}}
}

// gitServerCommand is the component git-server.
func gitServerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "git-server", Hidden: true, Args: none}
	lab := labFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := lab()
		if err != nil {
			return err
		}
		root := l.Path("git")
		if err := os.MkdirAll(root, 0o755); err != nil {
			return fmt.Errorf("make a directory for repositories: %w", err)
		}
		handler, err := gitserver.New(root, stack.GitURL(), slog.New(slog.NewTextHandler(os.Stderr, nil)))
		if err != nil {
			return err
		}
		defer handler.Close()
		server := &http.Server{Addr: fmt.Sprintf(":%d", stack.GitPort), Handler: handler, ReadHeaderTimeout: time.Minute}
		return server.ListenAndServe()
	}
	return cmd
}
