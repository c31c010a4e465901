package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/cmd/runner"
	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/controller/environment"
	"github.com/schemawave/schemawave/controller/gates"
	"github.com/schemawave/schemawave/controller/tracing"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/kustomize"
	"github.com/schemawave/schemawave/migrations"
)

func newController(getenv func(string) string) *cobra.Command {
	var file, logFormat string
	var verbose bool
	c := &cobra.Command{
		Use:   "controller --config FILE",
		Short: "Render pushes, watch Argo CD, publish what is proven",
		Long: `Keep environment repositories rendered, watch Argo CD Applications and migration Jobs, and publish what they prove to
NATS. Several replicas may run: one leads, the others pass webhooks on to it and take over when it goes.

Environment: KUBECONFIG outside a cluster; NATS_URL, NATS_CREDS or NATS_NKEY and the other NATS variables of
schemawave wait; POD_NAMESPACE and POD_IP for leader election among replicas; OTEL_EXPORTER_OTLP_ENDPOINT and the other
variables of OpenTelemetry's exporter for traces.`,
		Example: "  schemawave controller --config /etc/schemawave/config.yaml",
		Args:    cobra.NoArgs,
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
			log, err := cli.Logger(c.ErrOrStderr(), logFormat, verbose)
			if err != nil {
				return err
			}
			if file == "" {
				return cli.Usage("--config is required")
			}
			config, err := readConfig(file)
			if err != nil {
				return err
			}
			return control(ctx, config, getenv, log)
		}),
	}
	c.Flags().StringVar(&file, "config", "", "configuration file (required)")
	c.Flags().StringVar(&logFormat, "log-format", "text", "text or json")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "log more")
	return c
}

// control wires the parts together and runs them until ctx ends.
func control(ctx context.Context, c config, getenv func(string) string, log *slog.Logger) error {
	// the libraries' only way to be told where to log
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	klog.SetLogger(logr.FromSlogHandler(log.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.WarnContext(ctx, "traces are not exported", "err", err) }))
	tracer, err := tracing.New(ctx, getenv, cli.Version)
	if err != nil {
		return cli.Exit(migrations.ExitConfig, err)
	}
	if tracer != nil {
		defer lastTraces(ctx, tracer, log)
	}
	nc, err := broker(ctx, c.NATS, getenv, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	proof, err := newProof(c, nc, tracer, getenv, log)
	if err != nil {
		return err
	}
	if err := proof.OnLeader(func(ctx context.Context) error { return keepStreams(ctx, nc, c.NATS.Replicas, proof.TellAgain, log) }); err != nil {
		return cli.Exit(migrations.ExitBug, err)
	}
	if c.Gates.Release {
		if err := releaseGates(c.Gates, proof, nc, log); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	if c.Environments != nil {
		hooks, err := newEnvironments(c, proof, tracer, log)
		if err != nil {
			return err
		}
		group.Go(func() error { return serve(ctx, c.Listen.Webhook, hooks) })
	}
	group.Go(func() error { return cli.Exit(migrations.ExitUnreachable, proof.Run(ctx)) })
	return group.Wait()
}

// lastTraces exports what the tracer still has, after the work has ended.
func lastTraces(ctx context.Context, t *tracing.Tracer, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := t.Close(ctx); err != nil {
		log.WarnContext(ctx, "traces are lost", "err", err)
	}
}

// broker connects to NATS, now or when it is there and takes the credentials: a controller whose broker is away starts, and catches up.
// The address in the environment comes first, for a Secret may hold a password in it.
func broker(ctx context.Context, c natsConfig, getenv func(string) string, log *slog.Logger) (*nats.Conn, error) {
	o := jetstream.OptionsFromEnv(getenv)
	o.URL = cmp.Or(o.URL, c.URL)
	o.Name, o.Retry, o.Persist, o.Log = "schemawave controller "+getenv("POD_IP"), true, true, log
	return runner.ConnectTo(ctx, o)
}

// newProof makes the part that watches the cluster and publishes. The tracer may be nil.
func newProof(c config, nc *nats.Conn, tracer *tracing.Tracer, getenv func(string) string, log *slog.Logger) (*controller.Controller, error) {
	cluster, err := findCluster()
	if err != nil {
		return nil, err
	}
	publisher, err := jetstream.NewPublisher(nc)
	if err != nil {
		return nil, runner.BrokerError(err)
	}
	o := controller.Options{
		Config: cluster, Publisher: publisher, Log: log,
		ApplicationNamespaces: c.ArgoCD.Namespaces, JobNamespaces: c.ArgoCD.JobNamespaces, ApplicationsOnly: c.ArgoCD.ApplicationsOnly,
		LocalServers: c.ArgoCD.LocalServers, ClusterSecrets: c.ArgoCD.ClusterSecrets, Heal: c.ArgoCD.Heal,
		MetricsAddress: c.Listen.Metrics, HealthAddress: c.Listen.Health,
	}
	if tracer != nil {
		o.Published = tracer.Published
	}
	if namespace := getenv("POD_NAMESPACE"); namespace != "" {
		o.LeaderElection = &controller.LeaderElection{Namespace: namespace, Identity: hookURL(getenv("POD_IP"), c.Listen.Webhook)}
	}
	proof, err := controller.New(o)
	return proof, cli.Exit(migrations.ExitUnreachable, err)
}

// findCluster tells how to reach the cluster that the controller is for.
func findCluster() (*rest.Config, error) {
	cluster, err := ctrl.GetConfig()
	if err != nil {
		return nil, &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("find the cluster: %w", err), Hint: "run it in a cluster, or set KUBECONFIG"}
	}
	return cluster, nil
}

// releaseGates makes the part that releases waiting Pods, run by the leader.
func releaseGates(c gatesConfig, proof *controller.Controller, nc *nats.Conn, log *slog.Logger) error {
	cluster, err := findCluster()
	if err != nil {
		return err
	}
	releaser, err := gates.New(gates.Options{
		Config: cluster, Waiter: jetstream.NewWaiter(nc), Namespaces: c.Namespaces, Metrics: ctrlmetrics.Registry, Log: log,
	})
	if err == nil {
		err = proof.OnLeader(releaser.Run)
	}
	return cli.Exit(migrations.ExitBug, err)
}

// hookURL is where the other replicas reach this one's webhook receiver; empty if it does not know its own address.
func hookURL(ip, listen string) string {
	_, port, err := net.SplitHostPort(listen)
	if ip == "" || err != nil {
		return ""
	}
	return "http://" + net.JoinHostPort(ip, port) + hookPath
}

const hookPath = "/webhook"

// newEnvironments makes the part that renders pushes, run by the leader, and returns the receiver of webhooks, served by all.
// The tracer may be nil.
func newEnvironments(c config, proof *controller.Controller, tracer *tracing.Tracer, log *slog.Logger) (http.Handler, error) {
	announcer := proof.Announcer()
	o := environment.Options{
		Config: *c.Environments, Logger: log, Metrics: ctrlmetrics.Registry,
		Refresh: proof.Refresher().Refresh, Leader: proof.Leader, // whose identity is hookURL
		Announce: func(ctx context.Context, n environment.Notice) error {
			return announcer.Announce(ctx, n.Repository, n.Branch, n.Overlay, n.Failed, n.Text)
		},
		Render: environment.Kustomize(kustomize.Options{Image: c.Image}),
	}
	if tracer != nil {
		o.Report = tracer.Pass
	}
	e, err := environment.New(o)
	if err != nil {
		return nil, cli.Exit(migrations.ExitConfig, err)
	}
	if err := proof.OnLeader(e.Run); err != nil {
		return nil, cli.Exit(migrations.ExitBug, err)
	}
	mux := http.NewServeMux()
	mux.Handle(hookPath, e.Webhook())
	return mux, nil
}

// serve answers on addr until ctx ends, and lets what it is answering end.
func serve(ctx context.Context, addr string, handler http.Handler) error {
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(bye)
	})
	err := server.ListenAndServe()
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("serve webhooks: %w", err), Hint: "choose another address for listen.webhook"}
	}
	<-stopped
	return nil
}

// lookAtStreams is how often the controller makes sure that the streams are there.
const lookAtStreams = 30 * time.Second

// keepStreams makes the streams, and makes them again when they are lost, from the time when the broker is there. Streams with other
// settings are left alone and said: whoever made them so has the last word.
func keepStreams(ctx context.Context, nc *nats.Conn, replicas int, tellAgain func(), log *slog.Logger) error {
	streams, err := jetstream.NewStreams(nc)
	if err != nil {
		return err
	}
	streams.Keep(ctx, jetstream.StreamOptions{Replicas: replicas}, lookAtStreams, func(err error) {
		switch d := (*jetstream.DifferenceError)(nil); {
		case err == nil:
			log.InfoContext(ctx, "the streams are as they should be")
		case errors.As(err, &d):
			log.ErrorContext(ctx, "the streams are not as they should be", "err", err)
		default:
			log.WarnContext(ctx, "the streams cannot be looked at, or made; trying again", "err", err, "every", lookAtStreams)
		}
	}, func() {
		log.WarnContext(ctx, "a stream was lost and is another now: what is known is published again")
		tellAgain()
	})
	return nil
}
