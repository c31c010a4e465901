package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/lab/host"
)

func logsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "logs [COMPONENT]",
		Short:   "print a component's log, or list the components that have one",
		Example: "  lab logs\n  lab logs kubelet | tail",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage{errors.New("one component at a time")}
			}
			return nil
		},
	}
	lab := labFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := lab()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return listLogs(cmd.OutOrStdout(), l)
		}
		f, err := os.Open(l.Path("logs", filepath.Base(args[0])+".log"))
		if errors.Is(err, fs.ErrNotExist) {
			return usage{fmt.Errorf("no log of %q; lab logs lists them", args[0])}
		}
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(cmd.OutOrStdout(), f)
		return err
	}
	return cmd
}

func listLogs(w io.Writer, l host.Lab) error {
	files, err := filepath.Glob(l.Path("logs", "*.log"))
	if err == nil && len(files) == 0 {
		err = host.ErrNotRunning
	}
	for _, f := range files {
		fmt.Fprintln(w, strings.TrimSuffix(filepath.Base(f), ".log"))
	}
	return err
}
