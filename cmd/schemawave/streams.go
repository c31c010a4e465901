package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/cmd/runner"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/migrations"
)

func newStreams(getenv func(string) string) *cobra.Command {
	c := &cobra.Command{
		Use:   "streams",
		Short: "Create and check the NATS streams",
		Long:  "Create and check the two JetStream streams that carry states and events. The controller does the same when it starts.",
	}
	var options jetstream.StreamOptions
	c.PersistentFlags().IntVar(&options.Replicas, "replicas", 1, "copies of each stream, 1 to 5")
	c.AddCommand(
		newPermissions(),
		&cobra.Command{
			Use:     "ensure",
			Short:   "Create the streams that do not exist",
			Long:    "Create the streams that do not exist. One that exists with other settings is reported and left as it is.",
			Example: "  schemawave streams ensure --replicas 3",
			Args:    cobra.NoArgs,
			RunE: cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				return withStreams(ctx, getenv, func(ctx context.Context, s *jetstream.Streams) error { return s.Ensure(ctx, options) })
			}),
		},
		&cobra.Command{
			Use:     "verify",
			Short:   "List how the streams differ from what they should be",
			Example: "  schemawave streams verify --replicas 3",
			Args:    cobra.NoArgs,
			RunE: cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				return withStreams(ctx, getenv, func(ctx context.Context, s *jetstream.Streams) error {
					differences, err := s.Verify(ctx, options)
					if err != nil {
						return err
					}
					if len(differences) > 0 {
						return &jetstream.DifferenceError{Differences: differences}
					}
					fmt.Fprintln(c.OutOrStdout(), "the streams are as they should be")
					return nil
				})
			}),
		},
	)
	return c
}

// withStreams connects, works, and gives its errors their exit codes.
func withStreams(ctx context.Context, getenv func(string) string, do func(context.Context, *jetstream.Streams) error) error {
	connecting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	nc, err := runner.ConnectBroker(connecting, getenv, "schemawave", false, nil)
	if err != nil {
		return err
	}
	defer nc.Close()
	streams, err := jetstream.NewStreams(nc)
	if err != nil {
		return runner.BrokerError(err)
	}
	return streamsError(do(ctx, streams))
}

// patience is how long NATS may take to answer.
const patience = 10 * time.Second

// streamsError gives a difference its exit code; other errors are the broker's.
func streamsError(err error) error {
	if d := (*jetstream.DifferenceError)(nil); err != nil && errors.As(err, &d) {
		return cli.Exit(migrations.ExitConfig, err)
	}
	return runner.BrokerError(err)
}
