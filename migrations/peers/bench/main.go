// Command bench measures Schemawave beside other tools and beside floors that nothing of its kind can go below, all against
// one PostgreSQL with fsync on, and prints a Markdown table of medians.
//
// The contenders take turns in every round, so that whatever else the machine does meets all of them. A run begins with
// nothing but the directory on disk and an empty database (or one that is up to date), after a checkpoint; reading the
// directory and connecting are part of it. At the end it measures the runner as a program.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"

	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := flags.Int("rounds", 5, "how often each contender runs; where there is nothing to do, four times as often")
	only := flags.String("run", "", "measure only the cases whose name matches this regular expression; "+theRunner+" is one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	server, err := postgrestest.Start(ctx, postgrestest.Options{Settings: production})
	if err != nil {
		return err
	}
	defer server.Stop() //nolint:errcheck // it is thrown away
	c, err := newContest(server, *rounds)
	if err != nil {
		return err
	}
	defer c.close() //nolint:errcheck // it is below the system's temporary directory
	if err := environment(ctx, stdout, server, *rounds); err != nil {
		return err
	}
	var done []result
	for _, k := range cases() {
		if !pattern.MatchString(k.name()) {
			continue
		}
		r, err := c.measure(ctx, k)
		if err != nil {
			return err
		}
		done = append(done, r)
	}
	if len(done) > 0 {
		fmt.Fprintf(stdout, "\n%s\nTimes of Schemawave's, medians of the rounds:\n\n%s", table(done, cell), table(done, ratio))
	}
	if !pattern.MatchString(theRunner) {
		return nil
	}
	p, err := c.measureRunner(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "\n%s", p)
	return err
}

// production undoes what makes a server for tests fast. What is not named is PostgreSQL's default.
var production = map[string]string{"fsync": "on", "shared_buffers": "128MB"}
