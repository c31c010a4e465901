package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
)

func newStatus(getenv func(string) string) *cobra.Command {
	var environment, output string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "status",
		Short: "Show which schema every database is at, and how its last attempt went",
		Long: `Show, from NATS alone, which schema every database of every environment, or of one, is proven to be at, and how the last attempt
to change it went, and what keeps a newer migration from its turn.`,
		Example: "  schemawave status\n  schemawave status --environment production -o json",
		Args:    cobra.NoArgs,
		RunE: cli.Do(func(ctx context.Context, c *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return cli.Usage("--output %q: want text or json", output)
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return withStreams(ctx, getenv, func(ctx context.Context, s *jetstream.Streams) error {
				states, err := s.States(ctx, environment)
				if err != nil && len(states) == 0 {
					return err
				}
				if output == "json" {
					return errors.Join(err, json.NewEncoder(c.OutOrStdout()).Encode(listed(states)))
				}
				return errors.Join(err, printStatus(c.OutOrStdout(), states, time.Now()))
			})
		}),
	}
	c.Flags().StringVar(&environment, "environment", "", "of one environment only")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().DurationVar(&timeout, "timeout", patience, "how long NATS may take")
	return c
}

// printStatus prints a table of databases and, below it, the failures that are still the last word and what is in the way.
func printStatus(w io.Writer, states []events.State, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "DATABASE\tREADY\tSINCE\tEVIDENCE\tLAST ATTEMPT")
	for _, s := range states {
		version, since, evidence, attempt := "-", "-", "-", "-"
		if s.Ready != nil {
			version, since, evidence = s.Ready.Version, age(now, s.Ready.Since), string(s.Ready.Evidence)
		}
		if a := s.Latest(); a != nil {
			attempt = fmt.Sprintf("%s %s", a.Version, a.Outcome)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.Name(), version, since, evidence, attempt)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, s := range states {
		if a := s.Latest(); a != nil && a.Failure != nil {
			fmt.Fprintf(w, "\n%s: %s\n", s.Name(), a.Failure)
		}
		if o := s.Obstacle; o != nil {
			fmt.Fprintf(w, "\n%s: %s: %s\n", s.Name(), o.Kind, o.Reason)
		}
	}
	return nil
}

// age is how long ago t was, in the one unit that says enough.
func age(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
