package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/lab/build"
	"github.com/schemawave/schemawave/cmd/lab/host"
	"github.com/schemawave/schemawave/cmd/lab/progress"
	"github.com/schemawave/schemawave/cmd/lab/stack"
	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

func upCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "start a lab that stays until lab down",
		Long: "up builds and installs what is missing, starts everything, and prints where the services are.\n" +
			"The addresses are those of the lab's own network: use them with lab exec.",
		Example: "  lab up\n  lab up --control-plane --dir /var/tmp/schemawave-lab/api",
		Args:    none,
	}
	lab, options := labFlag(cmd), optionFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := lab()
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		config, err := bringUp(ctx, l, *options, false)
		if err != nil {
			return err
		}
		for _, v := range config.Variables() {
			fmt.Fprintf(cmd.OutOrStdout(), "%s=%s\n", v.Name, v.Value)
		}
		return nil
	}
	return cmd
}

// optionFlags adds the choices of up and run.
func optionFlags(cmd *cobra.Command) *stack.Options {
	var o stack.Options
	cmd.Flags().BoolVar(&o.ControlPlane, "control-plane", false, "only the Kubernetes API and its controllers: no node, pods or other services")
	cmd.Flags().BoolVar(&o.SecondCluster, "second-cluster", false, "another Kubernetes with a node, at $SECOND_KUBECONFIG, for Argo CD to deploy to")
	cmd.Flags().StringVar(&o.ArgoCD, "argocd", "2.14", "the release of Argo CD: 2.14 or 3.5")
	cmd.Flags().DurationVar(&o.SyncWaveDelay, "sync-wave-delay", 2*time.Second, "Argo CD's pause after each sync wave, in whole seconds")
	cmd.Flags().DurationVar(&o.Reconciliation, "reconciliation", 3*time.Minute, "how often Argo CD polls repositories")
	return &o
}

// bringUp starts the lab and returns when it is up. tied: the lab ends with this process's thread. A lab that does not
// come up is taken down again.
func bringUp(ctx context.Context, l host.Lab, options stack.Options, tied bool) (stack.Config, error) {
	if options.SyncWaveDelay%time.Second != 0 || options.SyncWaveDelay < 0 {
		return stack.Config{}, usage{fmt.Errorf("sync wave delay %v: Argo CD knows whole seconds only", options.SyncWaveDelay)}
	}
	if options.ControlPlane && options.SecondCluster {
		return stack.Config{}, usage{errors.New("--second-cluster has nodes: not with --control-plane")}
	}
	if os.Geteuid() != 0 {
		return stack.Config{}, errors.New("the lab makes namespaces, mounts and cgroups: it needs root")
	}
	log := progress.New(os.Stderr)
	config, err := provide(ctx, l, options, log)
	if err != nil {
		return config, err
	}
	if err := host.Sweep(); err != nil {
		return config, err
	}
	if err := l.Clear(); err != nil { // what a killed daemon left in this directory
		return config, err
	}
	lock, err := l.Acquire()
	if err != nil {
		return config, err
	}
	if err := launch(ctx, l, lock, config, tied, log); err != nil {
		return config, errors.Join(err, l.End())
	}
	log.Printf("up")
	return config, nil
}

// provide installs and builds what the lab needs and returns its configuration.
func provide(ctx context.Context, l host.Lab, options stack.Options, log *progress.Log) (stack.Config, error) {
	config := stack.Config{Options: options, Dir: l.Dir, Password: rand.Text()}
	argoCD, ok := build.ArgoCDs()[options.ArgoCD]
	if !ok {
		return config, usage{fmt.Errorf("--argocd %q: want 2.14 or 3.5", options.ArgoCD)}
	}
	packages, binaries := build.AllPackages(), build.All(argoCD)
	if options.ControlPlane {
		packages, binaries = build.ControlPlanePackages(), build.ControlPlane()
	}
	tools, err := build.FindToolchain(ctx)
	if err != nil {
		return config, err
	}
	if err := build.Install(ctx, packages, log); err != nil {
		return config, err
	}
	cache, err := build.UserCache(tools)
	if err != nil {
		return config, err
	}
	if config.Binaries, err = cache.Ensure(ctx, binaries, log); err != nil {
		return config, err
	}
	config.Keep = append(tools.Keep, tools.Root, cache.Dir)
	if home, err := os.UserHomeDir(); err == nil {
		config.Keep = append(config.Keep, home)
	}
	if options.ControlPlane {
		return config, nil
	}
	if config.ArgoCDSource, err = tools.ModuleDir(ctx, argoCD.Module); err != nil {
		return config, err
	}
	config.PostgreSQL, err = build.PostgreSQLDir()
	return config, err
}

// launch starts the lab's processes and follows them until all are ready.
func launch(ctx context.Context, l host.Lab, lock *os.File, config stack.Config, tied bool, log *progress.Log) error {
	if err := errors.Join(config.MakeDirectories(), config.Save()); err != nil {
		return errors.Join(err, lock.Close())
	}
	report, err := l.Start(lock, tied, "init", "--dir", l.Dir)
	if err != nil {
		return err
	}
	defer report.Close()
	stop := context.AfterFunc(ctx, func() { report.Close() })
	defer stop()
	err = supervise.Follow(report, func(s supervise.Status) { log.Printf("%s is ready", s.Name) })
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if errors.Is(err, supervise.ErrSilent) {
		lines, _ := supervise.Tail(l.Path("logs", "lab.log"), 20)
		return fmt.Errorf("%w; its log ends:\n    %s", err, strings.Join(lines, "\n    "))
	}
	return err
}
