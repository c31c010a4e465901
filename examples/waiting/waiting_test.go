// Package waiting_test runs the examples of waiting without our code against a real server.
package waiting_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// TestWithBash needs bash and jq.
func TestWithBash(t *testing.T) { waits(t, "bash", "wait-bash.sh") }

// TestFromNPM needs what make e2e-npm installs: the client for Node.js.
func TestFromNPM(t *testing.T) {
	dir := installed(t, "waiting")
	if out, err := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "vectors.mjs"), "../../events/vectors.json").CombinedOutput(); err != nil {
		t.Errorf("the vectors: %v\n%s", err, out)
	}
	waits(t, "node", filepath.Join(dir, "wait.mjs"))
}

// TestFromNPMWithCLI needs what make e2e-npm installs, too: the nats CLI, a Go module.
func TestFromNPMWithCLI(t *testing.T) {
	t.Setenv("PATH", installed(t, "bin")+":"+os.Getenv("PATH"))
	waits(t, "sh", "wait-cli.sh")
}

func installed(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("NPM_INSTALLED")
	if dir == "" {
		t.Fatal("NPM_INSTALLED is not set: make e2e-npm installs the clients and names their directory in it")
	}
	return filepath.Join(dir, name)
}

// waits has a program wait for version 7 in every way that a wait can go.
func waits(t *testing.T, program ...string) {
	ready := func(version, minCompatible string) func(*events.State) {
		return func(s *events.State) {
			s.Ready = &events.Ready{Version: version, MinCompatible: minCompatible, Digest: "sha256:" + version, Evidence: events.EvidenceReport, Since: time.Now()}
		}
	}
	failed := func(version string, permanent bool) func(*events.State) {
		return func(s *events.State) {
			s.LastAttempt = &events.Attempt{Outcome: events.OutcomeFailed, Version: version, Digest: "sha256:" + version, Run: version,
				Failure: &events.Failure{Permanent: permanent, Message: "column exists"}}
		}
	}
	for name, c := range map[string]struct {
		before, after []func(*events.State) // what is published before it begins, and while it waits
		code          int
	}{
		"ready already":      {before: []func(*events.State){ready("20", "7")}},
		"becomes ready":      {before: []func(*events.State){ready("6", "")}, after: []func(*events.State){ready("7", "")}},
		"is the first":       {after: []func(*events.State){ready("7", "")}},
		"is too old":         {before: []func(*events.State){ready("9", "8")}, code: 78},
		"becomes too old":    {before: []func(*events.State){ready("6", "")}, after: []func(*events.State){ready("9", "8")}, code: 78},
		"has failed":         {before: []func(*events.State){ready("6", ""), failed("7", true)}, code: 65},
		"fails":              {before: []func(*events.State){ready("6", "")}, after: []func(*events.State){failed("7", true)}, code: 65},
		"stumbles":           {before: []func(*events.State){failed("7", false)}, code: 75},
		"an older one fails": {before: []func(*events.State){ready("5", ""), failed("6", true)}, after: []func(*events.State){ready("7", "")}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			for _, change := range c.before {
				s.publish(change)
			}
			p := s.run(program)
			if len(c.after) > 0 {
				p.says()
				s.publish(c.after[0])
			}
			if code := p.ends(); code != c.code {
				t.Errorf("it ended with exit code %d, want %d", code, c.code)
			}
		})
	}
}

type server struct {
	t         *testing.T
	ctx       context.Context
	url       string
	publisher *jetstream.Publisher
	n         int
}

func start(t *testing.T) *server {
	t.Helper()
	nats, err := natstest.Start(natstest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nats.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s := &server{t: t, ctx: ctx, url: nats.URL()}
	nc, err := jetstream.Connect(ctx, jetstream.Options{URL: s.url})
	s.check(err)
	t.Cleanup(nc.Close)
	streams, err := jetstream.NewStreams(nc)
	s.check(err)
	s.check(streams.Ensure(ctx, jetstream.StreamOptions{}))
	s.publisher, err = jetstream.NewPublisher(nc)
	s.check(err)
	return s
}

func (s *server) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) publish(change func(*events.State)) {
	s.t.Helper()
	state, revision, err := s.publisher.State(s.ctx, "production", "orders", "")
	s.check(err)
	change(&state)
	s.n++
	_, err = s.publisher.PublishState(s.ctx, state, revision, fmt.Sprint(s.n))
	s.check(err)
}

type waiter struct {
	s      *server
	cmd    *exec.Cmd
	stderr *bufio.Reader
}

func (s *server) run(program []string) *waiter {
	s.t.Helper()
	c := exec.CommandContext(s.ctx, program[0], append(program[1:], "production", "orders", "7")...)
	c.Env = append(os.Environ(), "NATS_URL="+s.url)
	stderr, err := c.StderrPipe()
	s.check(err)
	s.check(c.Start())
	return &waiter{s, c, bufio.NewReader(stderr)}
}

// says waits for a line, which tells that the state was read and that the wait goes on.
func (w *waiter) says() {
	w.s.t.Helper()
	line, err := w.stderr.ReadString('\n')
	w.s.check(err)
	w.s.t.Log(line)
}

func (w *waiter) ends() int {
	w.s.t.Helper()
	io.Copy(io.Discard, w.stderr) //nolint:errcheck // what it says is for people
	err := w.cmd.Wait()
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		return e.ExitCode()
	}
	w.s.check(err)
	return 0
}
