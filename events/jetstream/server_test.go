package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// patience is how long a test waits for what must happen. It measures nothing: only a defect uses it up.
const patience = time.Minute

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// run starts a server with both streams.
func run(t testing.TB) *natstest.Server {
	t.Helper()
	s := runBare(t, natstest.Options{})
	ensure(t, dial(t, s))
	return s
}

func runBare(t testing.TB, o natstest.Options) *natstest.Server {
	t.Helper()
	s, err := natstest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func dial(t testing.TB, s *natstest.Server) *nats.Conn {
	t.Helper()
	return dialURL(t, Options{URL: s.URL(), Name: t.Name()})
}

func dialURL(t testing.TB, o Options) *nats.Conn {
	t.Helper()
	nc, err := Connect(bounded(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func ensure(t testing.TB, nc *nats.Conn) *Streams {
	t.Helper()
	s, err := NewStreams(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ensure(bounded(t), StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func publisher(t testing.TB, nc *nats.Conn) *Publisher {
	t.Helper()
	p, err := NewPublisher(nc)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// publish makes change the state of environment/orders.
func publish(t testing.TB, p *Publisher, environment, id string, change func(*events.State)) {
	t.Helper()
	s, revision, err := p.State(bounded(t), environment, "orders", "")
	if err != nil {
		t.Fatal(err)
	}
	change(&s)
	if _, err := p.PublishState(bounded(t), s, revision, id); err != nil {
		t.Fatal(err)
	}
}

func at(version string) func(*events.State) {
	return func(s *events.State) {
		s.Ready = &events.Ready{Version: version, Digest: "sha256:" + version, Evidence: events.EvidenceReport, Since: time.Now()}
		s.LastAttempt = &events.Attempt{Outcome: events.OutcomeSucceeded, Version: version, Digest: "sha256:" + version, Run: version}
	}
}

func failedAt(version string, permanent bool) func(*events.State) {
	return func(s *events.State) {
		s.LastAttempt = &events.Attempt{
			Outcome: events.OutcomeFailed, Version: version, Digest: "sha256:" + version, Run: version,
			Failure: &events.Failure{Permanent: permanent, File: version + "_x.sql", Line: 3, Message: "column does not exist", SQLState: "42703"},
		}
	}
}

func orders(environment, version string) events.Target {
	return events.Target{Environment: environment, Database: "orders", Version: version}
}

// waiting is a Wait that runs beside the test.
type waiting struct {
	t        *testing.T
	progress chan string
	states   []events.State
	err      error
	done     chan struct{}
}

func wait(t *testing.T, ctx context.Context, w *Waiter, q Query) *waiting {
	r := &waiting{t: t, progress: make(chan string, 100), done: make(chan struct{})}
	q.Progress = func(m string) { r.progress <- m }
	go func() {
		defer close(r.done)
		r.states, r.err = w.Wait(ctx, q)
	}()
	return r
}

// told blocks until the wait gives a reason that holds text, which also shows that it goes on.
func (r *waiting) told(match func(string) bool) {
	r.t.Helper()
	var heard []string
	limit := time.After(patience)
	for {
		select {
		case m := <-r.progress:
			if heard = append(heard, m); match(m) {
				return
			}
		case <-r.done:
			r.t.Fatalf("the wait ended (%v, %v), having told %q", r.states, r.err, heard)
		case <-limit:
			r.t.Fatalf("the wait told %q", heard)
		}
	}
}

func (r *waiting) over() ([]events.State, error) {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("the wait does not end")
	}
	return r.states, r.err
}

// user is one of a server's users.
type user struct {
	User        string `json:"user,omitempty"`
	Password    string `json:"password,omitempty"`
	NKey        string `json:"nkey,omitempty"`
	Permissions *grant `json:"permissions,omitempty"`
}

type grant struct {
	Publish   allow `json:"publish"`
	Subscribe allow `json:"subscribe"`
}

type allow struct {
	Allow []string `json:"allow"`
}

func granted(p Permissions) *grant {
	return &grant{Publish: allow{p.Publish}, Subscribe: allow{p.Subscribe}}
}

// config writes a server configuration; JSON without \u escapes is one of its spellings.
func config(t testing.TB, settings map[string]any) natstest.Options {
	t.Helper()
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(settings); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return natstest.Options{Config: path}
}

func withUsers(t testing.TB, users ...user) natstest.Options {
	t.Helper()
	return config(t, map[string]any{"authorization": map[string]any{"users": users}})
}
