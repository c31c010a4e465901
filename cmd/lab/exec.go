package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/lab/host"
	"github.com/schemawave/schemawave/cmd/lab/stack"
)

func execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec -- COMMAND...",
		Short: "run a command in the lab",
		Long: "exec runs a command in the lab's network and with its services in the environment: KUBECONFIG, DATABASE_URL, NATS_URL,\n" +
			"ARGOCD_URL, GIT_URL and LAB_DIR, and SECOND_KUBECONFIG where there is a second cluster; kubectl, kustomize, kustomize-5.4 (as Argo CD 2.14 has it), argocd and psql are on PATH.\n" +
			"Directory, input, output, signals and exit code are the command's own.",
		Example: "  lab exec -- sh -c 'psql \"$DATABASE_URL\" -c \"select version()\"'\n  lab exec -- go test ./cmd/lab/e2e/...",
		Args:    atLeast(1, "the command"),
	}
	cmd.Flags().SetInterspersed(false)
	lab := labFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		l, err := lab()
		if err != nil {
			return err
		}
		return inside(l, args)
	}
	return cmd
}

func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl ARGUMENTS...",
		Short:              "run kubectl in the lab of $LAB_DIR or the default one",
		Example:            "  lab kubectl get pods --all-namespaces",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := host.At(labDir())
			if err != nil {
				return err
			}
			return inside(l, append([]string{"kubectl"}, args...))
		},
	}
}

// inside runs a command in the lab; an exit code other than 0 comes back as an error.
func inside(l host.Lab, argv []string) error {
	if err := l.Alive(); err != nil {
		return err
	}
	config, err := stack.Load(l.Dir)
	if err != nil {
		return err
	}
	code, err := l.Run(argv, config.Environment(os.Environ()))
	if err != nil {
		return err
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}
