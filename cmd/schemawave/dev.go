package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/cmd/runner"
	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/kustomize"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// dev is one command line.
type dev struct {
	output, root   string
	verbose        bool
	getenv         func(string) string
	stdout, stderr io.Writer
	log            *slog.Logger
	publisher      *jetstream.Publisher
	waiter         *jetstream.Waiter
}

func newDev(getenv func(string) string) *cobra.Command {
	d := dev{getenv: getenv}
	c := &cobra.Command{
		Use:   "dev OVERLAY|SCHEMAMIGRATION...",
		Short: "Migrate local databases as overlays declare it, and tell NATS, as a cluster would",
		Long: `Apply the SchemaMigrations of overlays, or of single files in them, to local databases, and publish to NATS what the controller
would: the same states and events, failures too. What waits for a schema in the cluster waits on a laptop, in CI and in a compose file
in the same way. Neither Kubernetes nor Argo CD is needed, and nothing is rendered or written into the overlay.

Databases are migrated in the order that dependsOn asks for. What depends on a database that is in none of the overlays and files waits for
NATS to say that it is ready, as its Job would. The first failure ends the command; what comes after it is not begun.

The streams are created if they are not there. Nothing changes and nothing is published when all is done already. A NATS that tells of the
same database in a cluster is left as it is, and so is the local database.

Migrations in an image and those of a team's own tool cannot be run here.

Exit codes: 0 the databases have them all, and NATS knows · 65 an overlay or a migration is wrong · 69 a database or NATS cannot be
reached · 75 busy, or a schema that another depends on is not ready in time · 77 permission denied · 78 wrong configuration · 64 wrong usage.

Environment: DATABASE_URL, or libpq's PG* variables; with several databases a variable for each, DATABASE_URL_ORDERS for the database orders;
NATS_URL (default nats://127.0.0.1:4222), and the others of the command wait; USER, by whose name NATS is told.`,
		Example: `  docker run --rm -d -p 127.0.0.1:4222:4222 nats -js
  DATABASE_URL=postgres://postgres@localhost/orders schemawave dev orders/overlays/staging
  DATABASE_URL_ORDERS=… DATABASE_URL_CUSTOMERS=… schemawave dev orders/overlays/staging customers/overlays/staging`,
		Args: cobra.MinimumNArgs(1),
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, args []string) error {
			d.stdout, d.stderr = c.OutOrStdout(), c.ErrOrStderr()
			return d.run(ctx, args)
		}),
	}
	c.Flags().StringVarP(&d.output, "output", "o", "text", "what to print: text or json (the states)")
	c.Flags().BoolVarP(&d.verbose, "verbose", "v", false, "log what the migrations do")
	rootFlag(c, &d.root)
	return c
}

// local is one database to migrate.
type local struct {
	manifests.Input
	job  *batchv1.Job
	conn *pgconn.Config
}

func (l local) name() string { return l.Migration.Environment + "/" + l.Migration.Name }

func (d *dev) run(ctx context.Context, paths []string) (err error) {
	if d.output != "text" && d.output != "json" {
		return cli.Usage("--output %q: want text or json", d.output)
	}
	d.log = slog.New(slog.DiscardHandler)
	if d.verbose {
		if d.log, err = cli.Logger(d.stderr, "text", false); err != nil {
			return err
		}
	}
	locals, err := d.locals(ctx, paths)
	if err != nil {
		return err
	}
	return d.connected(ctx, func(ctx context.Context) error {
		var states []events.State
		for _, l := range locals {
			state, err := d.migrate(ctx, l)
			if err != nil {
				return err
			}
			states = append(states, state)
		}
		return runner.PrintStates(d.stdout, d.output, states)
	})
}

// locals reads everything before anything is touched.
func (d *dev) locals(ctx context.Context, paths []string) ([]local, error) {
	var all []local
	var names []string
	for _, p := range paths {
		inputs, err := kustomize.Declared(ctx, p, kustomize.Options{Root: d.root})
		if err != nil {
			return nil, rendering(err)
		}
		for _, in := range inputs {
			l := local{Input: in}
			if l.job, err = l.rendered(); err != nil {
				return nil, err
			}
			all, names = append(all, l), append(names, in.Migration.Name)
		}
	}
	conns, err := runner.DatabaseConns(d.getenv, names...)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].conn = conns[i]
	}
	return inOrder(all), nil
}

// rendered is the Job that a cluster would run.
func (l local) rendered() (*batchv1.Job, error) {
	switch s := l.Migration.Source; {
	case s.Tool != nil:
		return nil, notHere(l.name(), "with a tool in the image "+s.Tool.Image, "run the tool itself, against the same database")
	case s.Image != nil:
		return nil, notHere(l.name(), "from files in the image "+s.Image.Name, "make an overlay for local use, with the files' directory in this repository as source.directory")
	}
	objects, err := manifests.Build(l.Input)
	if err != nil {
		return nil, cli.Exit(migrations.ExitRejected, fmt.Errorf("%s: %w", l.name(), err))
	}
	for _, o := range objects {
		if o.Component == manifests.ComponentMigration {
			return o.Value.(*batchv1.Job), nil
		}
	}
	return nil, fmt.Errorf("%s is rendered without a Job", l.name())
}

func notHere(name, how, remedy string) error {
	return &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("%s is migrated %s, and no image is run here", name, how), Hint: remedy}
}

// inOrder puts databases after those that they depend on, and otherwise leaves them in their order.
func inOrder(all []local) []local {
	var ordered []local
	seen := map[string]bool{}
	var visit func(l local)
	visit = func(l local) {
		if seen[l.name()] {
			return
		}
		seen[l.name()] = true
		for _, other := range all {
			if l.dependsOn(other) {
				visit(other)
			}
		}
		ordered = append(ordered, l)
	}
	for _, l := range all {
		visit(l)
	}
	return ordered
}

// dependsOn reports whether other comes first, in the same overlay or in another.
func (l local) dependsOn(other local) bool {
	for _, d := range l.Migration.DependsOn {
		if d == other.Migration.Name && l.Migration.Environment == other.Migration.Environment {
			return true
		}
		if t, err := manifests.ParseTarget(d); err == nil && t.Database == other.Migration.Name && t.Environment == other.Migration.Environment {
			return true
		}
	}
	return false
}

// connected makes the streams if need be, and works with NATS at hand.
func (d *dev) connected(ctx context.Context, work func(context.Context) error) error {
	connecting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	nc, err := runner.ConnectBroker(connecting, d.getenv, "schemawave dev", false, nil)
	if e := (*cli.Error)(nil); errors.As(err, &e) && e.Code == migrations.ExitUnreachable {
		e.Hint = "start one with nats-server -js, or docker run -p 127.0.0.1:4222:4222 nats -js; or set NATS_URL"
	}
	if err != nil {
		return err
	}
	defer nc.Close()
	streams, err := jetstream.NewStreams(nc)
	if err != nil {
		return runner.BrokerError(err)
	}
	if err := streams.Ensure(connecting, jetstream.StreamOptions{}); err != nil {
		return streamsError(err)
	}
	if d.publisher, err = jetstream.NewPublisher(nc); err != nil {
		return runner.BrokerError(err)
	}
	d.waiter = jetstream.NewWaiter(nc)
	return work(ctx)
}

// migrate does what the Job would do, and tells of it as the controller would.
func (d *dev) migrate(ctx context.Context, l local) (events.State, error) {
	if err := d.wait(ctx, l); err != nil {
		return events.State{}, err
	}
	run := controller.Local{Job: l.job, Name: d.getenv("USER"), Run: rand.Text(), Started: time.Now()}
	if _, err := d.tell(ctx, run, nil); err != nil {
		return events.State{}, err
	}
	report, failure := d.apply(ctx, l)
	state, err := d.tell(context.WithoutCancel(ctx), run, &report)
	return state, errors.Join(failure, err)
}

// wait holds a migration back until what it depends on elsewhere is ready, as the gate of its Job does.
func (d *dev) wait(ctx context.Context, l local) error {
	q := jetstream.Query{OnFailure: jetstream.KeepGoing, Progress: func(message string) { fmt.Fprintf(d.stderr, "%s waits: %s\n", l.name(), message) }}
	for _, t := range l.Migration.Waits() {
		q.Targets = append(q.Targets, events.Target{Environment: t.Environment, Database: t.Database, Tenant: t.Tenant, Version: string(t.Version)})
	}
	if len(q.Targets) == 0 {
		return nil
	}
	deadline := l.Migration.Policy.RunDeadline()
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("gave up after %s", deadline))
	defer cancel()
	_, err := d.waiter.Wait(ctx, q)
	if waited := (*jetstream.WaitError)(nil); errors.As(err, &waited) && waited.Cause != nil {
		return &cli.Error{Code: migrations.ExitBusy, Err: err, Hint: fmt.Sprintf("migrate that first, by schemawave dev too, or raise policy.deadline of %s", l.name())}
	}
	return runner.BrokerError(err)
}

// apply migrates. The report is usable in any case.
func (d *dev) apply(ctx context.Context, l local) (report migrations.Report, err error) {
	m, p := l.Migration, l.Migration.Policy
	cfg := postgres.Config{
		Conn: l.conn, Database: m.Name, Environment: m.Environment, Target: string(m.Target), OutOfOrder: migrations.OutOfOrder(p.OutOfOrder),
		Deadline: p.RunDeadline(), Logger: d.log, Job: l.job.Name, ToolVersion: cli.Version,
	}
	if p.LockTimeout != nil {
		cfg.LockTimeout = cmp.Or(*p.LockTimeout, postgres.NoLimit)
	}
	if p.StatementTimeout != nil {
		cfg.StatementTimeout = *p.StatementTimeout
	}
	if t := m.Tenants; t != nil {
		tenants := postgres.Tenants{Query: t.Query, Names: t.Names}
		if t.Parallel != nil {
			tenants.Parallel = int(*t.Parallel)
		}
		report, err = postgres.MigrateTenants(ctx, cfg, l.Set, tenants)
	} else {
		report, err = postgres.Migrate(ctx, cfg, l.Set)
	}
	if m.MinCompatible != "" && err == nil {
		report.MinCompatible = m.MinCompatible
	}
	return report, err
}

// tell publishes what is news of a run, and says it.
func (d *dev) tell(ctx context.Context, run controller.Local, report *migrations.Report) (events.State, error) {
	for try := 0; ; try++ {
		told, state, err := run.Tell(ctx, d.publisher, report)
		for _, e := range told {
			if e.Predicate != events.Failed { // which the command ends with
				fmt.Fprintln(d.stderr, e.Reason)
			}
		}
		elsewhere := (*controller.ElsewhereError)(nil)
		switch {
		case errors.As(err, &elsewhere):
			return state, &cli.Error{Code: migrations.ExitConfig, Err: err, Hint: "set NATS_URL to a server of your own, as nats-server -js"}
		case errors.Is(err, jetstream.ErrConflict) && try < conflicts: // another one migrates the same database
		default:
			return state, runner.BrokerError(err)
		}
	}
}

// conflicts is how often another publisher of the same database may come first.
const conflicts = 10
