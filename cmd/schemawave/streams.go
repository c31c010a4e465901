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
	var options jetstream.StreamOptions
	c := &cobra.Command{
		Use:   "streams",
		Short: "Create, check and change the NATS streams",
		Long: `Create, check and change the two JetStream streams that carry states and events. The controller creates and checks them, and
changes none.`,
		Args: cobra.NoArgs, // with RunE, for cobra takes the name of a command that there is not for a call for help
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if n := options.Replicas; n < 1 || n > 5 {
				return cli.Usage("--replicas %d: want 1 to 5", n)
			}
			return nil
		},
	}
	c.PersistentFlags().IntVar(&options.Replicas, "replicas", 1, "copies of each stream, 1 to 5")
	c.AddCommand(newPermissions(), newEnsure(getenv, &options), newVerify(getenv, &options), newMigrate(getenv, &options))
	return c
}

func newEnsure(getenv func(string) string, options *jetstream.StreamOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "ensure",
		Short:   "Create the streams that do not exist",
		Long:    "Create the streams that do not exist. One that exists with other settings is reported and left as it is: see migrate.",
		Example: "  schemawave streams ensure --replicas 3",
		Args:    cobra.NoArgs,
		RunE: cli.Do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return askStreams(ctx, getenv, func(ctx context.Context, s *jetstream.Streams) error { return s.Ensure(ctx, *options) })
		}),
	}
}

func newVerify(getenv func(string) string, options *jetstream.StreamOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "verify",
		Short:   "List how the streams differ from what they should be",
		Example: "  schemawave streams verify --replicas 3",
		Args:    cobra.NoArgs,
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
			return askStreams(ctx, getenv, func(ctx context.Context, s *jetstream.Streams) error {
				differences, err := s.Verify(ctx, *options)
				if err != nil {
					return err
				}
				if len(differences) > 0 {
					return &jetstream.DifferenceError{Differences: differences}
				}
				fmt.Fprintln(c.OutOrStdout(), asTheyShouldBe)
				return nil
			})
		}),
	}
}

func newMigrate(getenv func(string) string, options *jetstream.StreamOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate --replicas N",
		Short: "Change the streams to what they should be",
		Long: `Change the streams to what they should be, and print each difference. Nothing at all is changed if NATS cannot change one of
them, or if events would be lost; the error says which, and the way out. How a stream is described, compressed and placed stays
as it is. The number of copies has to be said, so that it is never reduced by omission.`,
		Example: "  schemawave streams migrate --replicas 3",
		Args:    cobra.NoArgs,
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("replicas") {
				return cli.Usage("say how many copies the streams are to have: --replicas 3 on a cluster, --replicas 1 on a single server")
			}
			return askStreams(ctx, getenv, func(ctx context.Context, s *jetstream.Streams) error {
				changed, err := s.Migrate(ctx, *options)
				for _, d := range changed {
					fmt.Fprintf(c.OutOrStdout(), "stream %s: %s was %s, is %s\n", d.Stream, d.Setting, d.Have, d.Want)
				}
				if err == nil && len(changed) == 0 {
					fmt.Fprintln(c.OutOrStdout(), asTheyShouldBe)
				}
				return err
			})
		}),
	}
}

// asTheyShouldBe is what there is to say of streams that nothing is wrong with.
const asTheyShouldBe = "the streams are as they should be"

// askStreams is withStreams for what has an answer soon.
func askStreams(ctx context.Context, getenv func(string) string, do func(context.Context, *jetstream.Streams) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return withStreams(ctx, getenv, do)
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

// streamsError gives a difference, and one that stays, its exit code; other errors are the broker's.
func streamsError(err error) error {
	var different *jetstream.DifferenceError
	var refused *jetstream.RefusedError
	if errors.As(err, &different) || errors.As(err, &refused) {
		return cli.Exit(migrations.ExitConfig, err)
	}
	return runner.BrokerError(err)
}
