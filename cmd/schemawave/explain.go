package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/cmd/runner"
	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/migrations"
)

func newExplain(getenv func(string) string) *cobra.Command {
	var namespace, output, clusterSecrets string
	var localServers []string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "explain APPLICATION",
		Short: "Show what the controller sees of an Argo CD Application, and why it decides so",
		Long: `Look once at an Argo CD Application as the controller does, and show its last sync, its migration Jobs and what their
Pods report, what is published on NATS, and what follows from it with the next step. Nothing is changed.

It reads the cluster of the current kubeconfig context, which needs get, list and watch on applications, jobs and pods in
all namespaces, and get on appprojects; with --cluster-secrets also list on secrets in that namespace. Without NATS what is published is left out. What passed before is in the
controller's memory and on NATS alone.

Environment: KUBECONFIG; NATS_URL and the other NATS variables of schemawave wait.`,
		Example: "  schemawave explain orders\n  schemawave explain orders -n argocd -o json",
		Args:    cobra.ExactArgs(1),
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return cli.Usage("--output %q: want text or json", output)
			}
			ctrl.SetLogger(logr.Discard()) // the libraries' only way to be told
			klog.SetLogger(logr.Discard())
			config, err := ctrl.GetConfig()
			if err != nil {
				return &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("find the cluster: %w", err), Hint: "set KUBECONFIG"}
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			states, closing := published(ctx, c, getenv)
			defer closing()
			o := controller.Options{Config: config, LocalServers: localServers, ClusterSecrets: clusterSecrets}
			e, err := controller.Explain(ctx, o, states, types.NamespacedName{Namespace: namespace, Name: args[0]})
			if err != nil {
				return unexplained(err)
			}
			if output == "json" {
				return json.NewEncoder(c.OutOrStdout()).Encode(e)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), e)
			return err
		}),
	}
	c.Flags().StringVarP(&namespace, "namespace", "n", "argocd", "namespace of the Application")
	c.Flags().StringVar(&clusterSecrets, "cluster-secrets", "", "namespace of Argo CD's cluster secrets, to read Jobs in another cluster with them")
	c.Flags().StringArrayVar(&localServers, "local-server", nil, "a server or name by which Applications deploy to this cluster, besides Argo CD's own; may be repeated")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().DurationVar(&timeout, "timeout", 3*patience, "how long the cluster and NATS may take together")
	return c
}

// unexplained gives an error of the API server its exit code.
func unexplained(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return &cli.Error{Code: migrations.ExitConfig, Err: err, Hint: "name an Application of this cluster, and its namespace with -n"}
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return &cli.Error{Code: migrations.ExitDenied, Err: err, Hint: "grant what --help names"}
	}
	return cli.Exit(migrations.ExitUnreachable, err)
}

// published connects to NATS, and says so on standard error if that is not to be reached: the cluster alone is worth a look.
func published(ctx context.Context, c *cobra.Command, getenv func(string) string) (controller.States, func()) {
	connecting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	nc, err := runner.ConnectBroker(connecting, getenv, "schemawave explain", false, nil)
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "what is published is left out: %v\n", err)
		return nil, func() {}
	}
	p, err := jetstream.NewPublisher(nc)
	if err != nil {
		nc.Close()
		fmt.Fprintf(c.ErrOrStderr(), "what is published is left out: %v\n", err)
		return nil, func() {}
	}
	return p, nc.Close
}
