package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
)

func newEvents(getenv func(string) string) *cobra.Command {
	var environment, output string
	var since time.Duration
	var follow bool
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what happened to the schemas",
		Long: `Show the events of the last while, oldest first, as the stream has them; with --follow also those to come, until
interrupted. The stream keeps them for 90 days.`,
		Example: "  schemawave events --since 24h\n  schemawave events --environment production --follow -o json",
		Args:    cobra.NoArgs,
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return cli.Usage("--output %q: want text or json", output)
			}
			from := time.Now().Add(-since)
			return withStreams(ctx, getenv, func(ctx context.Context, s *jetstream.Streams) error {
				if follow {
					return followEvents(ctx, s, environment, from, output, c.OutOrStdout(), c.ErrOrStderr())
				}
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				list, err := s.Events(ctx, environment, from)
				for _, e := range list {
					err = errors.Join(err, printEvent(c.OutOrStdout(), output, e))
				}
				return err
			})
		}),
	}
	f := c.Flags()
	f.StringVar(&environment, "environment", "", "of one environment only")
	f.DurationVar(&since, "since", time.Hour, "how far back to begin")
	f.BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on")
	f.StringVarP(&output, "output", "o", "text", "text, or json (a line each)")
	return c
}

// followEvents prints until ctx ends, which is how it is meant to end.
func followEvents(ctx context.Context, s *jetstream.Streams, environment string, from time.Time, output string, stdout, stderr io.Writer) error {
	err := s.Follow(ctx, environment, from, func(e events.Event, err error) {
		if err == nil {
			err = printEvent(stdout, output, e)
		}
		if err != nil {
			fmt.Fprintln(stderr, err)
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// printEvent prints one line.
func printEvent(w io.Writer, output string, e events.Event) error {
	if output == "json" {
		return json.NewEncoder(w).Encode(struct {
			ID        string           `json:"id"`
			Predicate events.Predicate `json:"predicate"`
			Time      time.Time        `json:"time"`
			events.Event
		}{e.ID, e.Predicate, e.Time, e})
	}
	_, err := fmt.Fprintf(w, "%s  %-9s  %s\n", e.Time.UTC().Format(time.RFC3339), e.Predicate, e.Reason)
	return err
}
