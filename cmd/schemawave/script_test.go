package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"schemawave": func() { os.Exit(int(cli.Main(command()))) }})
}

// TestScripts runs the commands as a user does, against a real PostgreSQL and a real NATS.
func TestScripts(t *testing.T) {
	database, err := postgrestest.Start(t.Context(), postgrestest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { database.Stop() })
	users := write(t, t.TempDir(), "nats.conf", `authorization: {users: [{user: a, password: b}]}`)
	locked, err := natstest.Start(natstest.Options{Config: users})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { locked.Close() })
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			url, err := database.NewDatabase(t.Context())
			if err != nil {
				return err
			}
			broker, err := natstest.Start(natstest.Options{})
			if err != nil {
				return err
			}
			e.Defer(func() { broker.Close() })
			e.Values[natsURL{}] = broker.URL()
			e.Setenv("DATABASE_URL", url)
			e.Setenv("NATS_URL", broker.URL())
			e.Setenv("LOCKED_NATS_URL", locked.URL())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"publish": func(ts *testscript.TestScript, _ bool, args []string) {
				publish(ts, ts.Value(natsURL{}).(string), args)
			},
			"database": func(ts *testscript.TestScript, _ bool, args []string) {
				url, err := database.NewDatabase(t.Context())
				ts.Check(err)
				ts.Setenv(args[0], url)
			},
			"announce": func(ts *testscript.TestScript, _ bool, args []string) {
				announce(ts, ts.Value(natsURL{}).(string), args[0])
			},
		},
	})
}

// natsURL is the key of a script's own server, whatever the script makes of NATS_URL.
type natsURL struct{}

// exits CODE COMMAND… runs a command and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		got = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s ended with exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// announce ENVIRONMENT/DATABASE@VERSION tells of a success, as the controller does.
func announce(ts *testscript.TestScript, url, arg string) {
	target, err := events.ParseTarget(arg)
	ts.Check(err)
	withPublisher(ts, url, func(ctx context.Context, p *jetstream.Publisher) error {
		_, revision, err := p.State(ctx, target.Environment, target.Database, "")
		if err != nil {
			return err
		}
		return p.PublishEvent(ctx, events.Event{
			Predicate: events.Succeeded, Time: time.Now().UTC(), Environment: target.Environment, Database: target.Database, Reason: arg + " is ready",
		}, revision)
	})
}

func withPublisher(ts *testscript.TestScript, url string, do func(context.Context, *jetstream.Publisher) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	nc, err := jetstream.Connect(ctx, jetstream.Options{URL: url})
	ts.Check(err)
	defer nc.Close()
	p, err := jetstream.NewPublisher(nc)
	ts.Check(err)
	ts.Check(do(ctx, p))
}

// publish ENVIRONMENT/DATABASE@VERSION [MINCOMPATIBLE | failed | stumbled | NAMESPACE/APPLICATION] puts a state in the place of the last
// one, as the controller does. Who stumbled may try again.
func publish(ts *testscript.TestScript, url string, args []string) {
	target, err := events.ParseTarget(args[0])
	ts.Check(err)
	at := time.Now()
	attempt := &events.Attempt{Outcome: events.OutcomeSucceeded, Version: target.Version, Digest: "sha256:abc", Evidence: events.EvidenceReport, Run: at.String()}
	withPublisher(ts, url, func(ctx context.Context, p *jetstream.Publisher) error {
		state, revision, err := p.State(ctx, target.Environment, target.Database, "")
		if err != nil {
			return err
		}
		state.LastAttempt = attempt
		if len(args) > 1 && (args[1] == "failed" || args[1] == "stumbled") {
			attempt.Outcome = events.OutcomeFailed
			attempt.Failure = &events.Failure{Permanent: args[1] == "failed", SQLState: "42701", File: "0003_x.sql", Line: 4, Message: "column exists", Hint: "remove it"}
		} else {
			state.Ready = &events.Ready{Version: target.Version, Digest: "sha256:abc", Evidence: events.EvidenceReport, Since: at}
			switch {
			case len(args) > 1 && strings.Contains(args[1], "/"):
				state.Ready.Application = args[1]
			case len(args) > 1:
				state.Ready.MinCompatible = args[1]
			}
		}
		_, err = p.PublishState(ctx, state, revision, fmt.Sprint(at.UnixNano()))
		return err
	})
}
