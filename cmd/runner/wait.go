package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
)

type wait struct {
	timeout   time.Duration
	onFailure string
	fallback  string
	any       bool
	quiet     bool
	output    string
}

func newWait(getenv func(string) string) *cobra.Command {
	var w wait
	c := &cobra.Command{
		Use:   "wait ENVIRONMENT/DATABASE[@VERSION]...",
		Short: "Wait until schemas are ready",
		Long: `Wait until every schema named is ready: proven to be at the version or a newer one that still serves its readers.
Without a version, any proven one will do. It needs NATS only: no database, no Kubernetes.

It waits through an absent server, stream or state, and ends at once when an attempt at the version failed.

With --fallback ledger it asks the database's own ledger as long as NATS cannot be reached: one query without a lock, again and again,
while it goes on trying NATS. The ledger knows the version and what the migrations themselves say of older readers; it knows neither
failed attempts, nor minCompatible of a SchemaMigration, nor the versions that a team's own tool applies. Where NATS denies, it is not asked.

Exit codes: 0 ready · 75 not ready in time, or failed for a reason that may pass · 65 the migration failed for good ·
78 the schema no longer serves this version · 77 NATS denies it · 69 nothing could be learnt from NATS · 64 wrong usage.

Environment: NATS_URL, NATS_CREDS or NATS_NKEY (files), NATS_CA, NATS_CERT, NATS_KEY (files), NATS_INBOX_PREFIX; for the ledger
DATABASE_URL, or libpq's PG* variables, and with several databases a variable for each, DATABASE_URL_ORDERS for the database orders.`,
		Example: `  schemawave-runner wait production/orders@20261122093000
  schemawave-runner wait --timeout 2m --any staging/orders@7 staging/customers@3
  DATABASE_URL=postgres://orders@localhost/orders schemawave-runner wait --fallback ledger staging/orders@7`,
		Args: cobra.MinimumNArgs(1),
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, args []string) error {
			return w.run(ctx, getenv, args, c.OutOrStdout(), c.ErrOrStderr())
		}),
	}
	f := c.Flags()
	f.DurationVar(&w.timeout, "timeout", 10*time.Minute, "give up after this long; 0 waits for ever")
	f.StringVar(&w.onFailure, "on-failure", "fail", "what a failed attempt means: fail, or wait for the next one")
	f.StringVar(&w.fallback, "fallback", "", "whom to ask while NATS cannot be reached: ledger; empty: nobody")
	f.BoolVar(&w.any, "any", false, "one of the targets will do")
	f.BoolVarP(&w.quiet, "quiet", "q", false, "no progress on standard error")
	f.StringVarP(&w.output, "output", "o", "text", "what to print when ready: text or json (the states)")
	return c
}

func (w wait) run(ctx context.Context, getenv func(string) string, args []string, stdout, stderr io.Writer) error {
	q := jetstream.Query{Any: w.any}
	switch w.onFailure {
	case "fail":
	case "wait":
		q.OnFailure = jetstream.KeepGoing
	default:
		return cli.Usage("--on-failure %q: want fail or wait", w.onFailure)
	}
	if w.output != "text" && w.output != "json" {
		return cli.Usage("--output %q: want text or json", w.output)
	}
	for _, arg := range args {
		target, err := events.ParseTarget(arg)
		if err != nil {
			return cli.Usage("%w", err)
		}
		q.Targets = append(q.Targets, target)
	}
	began := time.Now()
	if !w.quiet {
		q.Progress = func(message string) {
			fmt.Fprintf(stderr, "%6.1fs  %s\n", time.Since(began).Seconds(), message)
		}
	}
	switch w.fallback {
	case "":
	case "ledger":
		l, err := newLedgers(getenv, q.Targets)
		if err != nil {
			return err
		}
		l.progress, q.Fallback = q.Progress, l.state
	default:
		return cli.Usage("--fallback %q: want ledger, or nothing", w.fallback)
	}
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, w.timeout, fmt.Errorf("gave up after %s", w.timeout))
		defer cancel()
	}
	host, _ := os.Hostname() // for people who read the server's connection list; a missing name is no reason to stop
	nc, err := ConnectBroker(ctx, getenv, "schemawave wait "+strings.Join(args, " ")+" on "+host, true, nil)
	if err != nil {
		return err
	}
	defer nc.Close()
	states, err := jetstream.NewWaiter(nc).Wait(ctx, q)
	if err != nil {
		return BrokerError(err)
	}
	return PrintStates(stdout, w.output, satisfied(q.Targets, states))
}

// satisfied returns the states that are as their targets ask for, which with --any need not be all.
func satisfied(targets []events.Target, states []events.State) []events.State {
	var ready []events.State
	for i, s := range states {
		if s.Satisfies(targets[i].Version).Answer == events.Satisfied {
			ready = append(ready, s)
		}
	}
	return ready
}

// PrintStates prints what is ready: a line each, or as json the states in an array.
func PrintStates(w io.Writer, output string, states []events.State) error {
	if output == "json" {
		return json.NewEncoder(w).Encode(states)
	}
	for _, s := range states {
		if s.Ready != nil {
			fmt.Fprintf(w, "%s is ready at %s (%s, evidence: %s)\n", s.Name(), s.Ready.Version, s.Ready.Since.UTC().Format(time.RFC3339), s.Ready.Evidence)
		}
	}
	return nil
}
