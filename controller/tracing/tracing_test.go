package tracing

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/schemawave/schemawave/controller/environment"
	"github.com/schemawave/schemawave/events"
)

const (
	pushed = "0123456789abcdef0123456789abcdef01234567"
	source = "89abcdef0123456789abcdef0123456789abcdef"
)

var began = time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)

// inbox is a collector.
type inbox struct {
	mu      sync.Mutex
	spans   []*spans.Span
	service string
	headers http.Header
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(b, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, fmt.Sprint(r.URL, err), http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.headers = r.Header
	for _, resource := range request.ResourceSpans {
		i.service = texts(resource.Resource.Attributes)["service.name"]
		for _, scope := range resource.ScopeSpans {
			i.spans = append(i.spans, scope.Spans...)
		}
	}
}

func texts(attributes []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range attributes {
		out[a.Key] = a.Value.GetStringValue()
	}
	return out
}

// told exports what do tells, and returns it as the collector has it, in the order of the spans' names.
func told(t *testing.T, do func(*Tracer)) *inbox {
	t.Helper()
	i := &inbox{}
	server := httptest.NewServer(i)
	defer server.Close()
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret"}
	for name, value := range env {
		t.Setenv(name, value) // the exporter reads the process's
	}
	tracer, err := New(t.Context(), func(name string) string { return env[name] }, "1.2.3")
	if err != nil || tracer == nil {
		t.Fatalf("%v, %v", tracer, err)
	}
	do(tracer)
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(i.spans, func(a, b *spans.Span) int { return strings.Compare(a.Name, b.Name) })
	return i
}

func (i *inbox) names() (names []string) {
	for _, s := range i.spans {
		names = append(names, s.Name)
	}
	return names
}

func (i *inbox) span(t *testing.T, name string) *spans.Span {
	t.Helper()
	n := slices.Index(i.names(), name)
	if n < 0 {
		t.Fatalf("there is no %q among %q", name, i.names())
	}
	return i.spans[n]
}

func pass() environment.Report {
	return environment.Report{
		Repository: "https://git.example/env.git", Branch: "main", Result: environment.Pushed, Source: source, Commit: pushed, Rendered: []string{"shop/production"},
		Began: began, Steps: []environment.Step{{Name: "fetch", Began: began, Ended: began.Add(time.Second)}, {Name: "push", Began: began.Add(time.Second), Ended: began.Add(3 * time.Second)}},
	}
}

func event(p events.Predicate) events.Event {
	e := events.Event{Predicate: p, Environment: "production", Database: "orders", Time: began.Add(time.Minute), Reason: "because", Attempt: &events.Attempt{
		Version: "7", Digest: "sha256:1", Revision: pushed, Run: "r", Started: began.Add(50 * time.Second), Finished: began.Add(time.Minute),
	}}
	e.ID = events.EventID(e)
	return e
}

// A push and what comes of it are one trace, whose id a person reads off the commit, although the two parts know nothing of each other.
func TestOneTraceFromPushToEvent(t *testing.T) {
	i := told(t, func(tr *Tracer) {
		tr.Pass(pass())
		tr.Published(event(events.Started))
		tr.Published(event(events.Succeeded))
	})
	if want := []string{"fetch", "migration succeeded", "publish", "push", "render and push"}; !slices.Equal(i.names(), want) {
		t.Fatalf("%q, want %q", i.names(), want)
	}
	for _, s := range i.spans {
		if fmt.Sprintf("%x", s.TraceId) != pushed[:32] {
			t.Errorf("%s: trace %x", s.Name, s.TraceId)
		}
	}
	root := i.span(t, "render and push")
	for child, parent := range map[string]string{"fetch": "render and push", "push": "render and push", "migration succeeded": "render and push", "publish": "migration succeeded"} {
		if got := i.span(t, child).ParentSpanId; string(got) != string(i.span(t, parent).SpanId) {
			t.Errorf("the parent of %q is %x", child, got)
		}
	}
	if len(root.ParentSpanId) != 0 || root.StartTimeUnixNano != uint64(began.UnixNano()) || root.EndTimeUnixNano != uint64(began.Add(3*time.Second).UnixNano()) {
		t.Errorf("the root is %+v", root)
	}
	m := i.span(t, "migration succeeded")
	if m.StartTimeUnixNano != uint64(began.Add(50*time.Second).UnixNano()) || i.span(t, "publish").StartTimeUnixNano != uint64(began.Add(time.Minute).UnixNano()) {
		t.Errorf("the migration is %+v", m)
	}
	about := texts(m.Attributes)
	for key, want := range map[string]string{"deployment.environment.name": "production", "db.namespace": "orders", "schemawave.version": "7", "vcs.ref.head.revision": pushed} {
		if about[key] != want {
			t.Errorf("%s is %q", key, about[key])
		}
	}
	if i.service != "schemawave" || i.headers.Get("Authorization") != "secret" {
		t.Errorf("service %q, headers %v", i.service, slices.Collect(maps.Keys(i.headers)))
	}
}

// What Argo CD has hydrated is told in the trace of the commit that was pushed, and names the one that was synced.
func TestHydrated(t *testing.T) {
	i := told(t, func(tr *Tracer) {
		e := event(events.Succeeded)
		e.Attempt.Revision, e.Attempt.DryRevision = strings.Repeat("ab", 20), pushed
		tr.Published(e)
	})
	m := i.span(t, "migration succeeded")
	if got := fmt.Sprintf("%x", m.TraceId); got != pushed[:32] || texts(m.Attributes)["vcs.ref.head.revision"] != strings.Repeat("ab", 20) {
		t.Errorf("trace %s of %v", got, texts(m.Attributes))
	}
}

// What is told twice is the same spans.
func TestToldTwiceIsOneSpan(t *testing.T) {
	i := told(t, func(tr *Tracer) {
		tr.Published(event(events.Succeeded))
		tr.Published(event(events.Succeeded))
	})
	if len(i.spans) != 4 || string(i.spans[0].SpanId) != string(i.spans[1].SpanId) || string(i.spans[2].SpanId) != string(i.spans[3].SpanId) {
		t.Errorf("%v", i.spans)
	}
}

// A controller that has just started looks at a commit that another one pushed. That is not the pass that made it.
func TestLookingAgainIsAnotherSpan(t *testing.T) {
	i := told(t, func(tr *Tracer) {
		tr.Pass(pass())
		again := pass()
		again.Result, again.Source, again.Commit, again.Rendered, again.Began = environment.Current, pushed, "", nil, began.Add(48*time.Hour)
		tr.Pass(again)
		tr.Published(event(events.Succeeded))
	})
	made, looked := i.spans[len(i.spans)-2], i.spans[len(i.spans)-1]
	if texts(made.Attributes)["schemawave.result"] == "current" {
		made, looked = looked, made
	}
	if string(made.TraceId) != string(looked.TraceId) || string(made.SpanId) == string(looked.SpanId) {
		t.Errorf("the push is span %x, the second look %x", made.SpanId, looked.SpanId)
	}
	if got := i.span(t, "migration succeeded").ParentSpanId; string(got) != string(made.SpanId) {
		t.Errorf("the migration's parent is %x, the push %x", got, made.SpanId)
	}
}

func TestFailures(t *testing.T) {
	failed := pass()
	failed.Commit, failed.Result, failed.Err = "", environment.Failed, errors.New("the host is away")
	i := told(t, func(tr *Tracer) {
		tr.Pass(failed)
		tr.Pass(failed)
		tr.Published(event(events.Failed))
	})
	var ids []string
	for _, s := range i.spans {
		if s.Name == "render and push" {
			ids = append(ids, string(s.SpanId))
			if fmt.Sprintf("%x", s.TraceId) != source[:32] || s.Status.GetCode() != spans.Status_STATUS_CODE_ERROR || s.Status.Message != "the host is away" {
				t.Errorf("%+v", s)
			}
		}
	}
	if len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("two passes are the spans %x", ids)
	}
	if s := i.span(t, "migration failed"); s.Status.GetCode() != spans.Status_STATUS_CODE_ERROR || s.Status.Message != "because" {
		t.Errorf("%+v", s)
	}
}

// A revision that is no commit has a trace of its own, and a pass that did not reach the host has none.
func TestWithoutACommit(t *testing.T) {
	chart := event(events.Skipped)
	chart.Attempt.Revision, chart.Attempt.Started = "1.2.3", time.Time{}
	away := pass()
	away.Source, away.Commit = "", ""
	i := told(t, func(tr *Tracer) {
		tr.Pass(away)
		tr.Published(chart)
		tr.Published(events.Event{Predicate: events.Failed})
	})
	if want := []string{"migration skipped", "publish"}; !slices.Equal(i.names(), want) {
		t.Fatalf("%q, want %q", i.names(), want)
	}
	m := i.spans[0]
	if len(m.ParentSpanId) != 0 || m.StartTimeUnixNano != uint64(began.Add(time.Minute).UnixNano()) || string(m.TraceId) == strings.Repeat("\x00", 16) {
		t.Errorf("%+v", m)
	}
}

func TestWhetherToTrace(t *testing.T) {
	for name, c := range map[string]struct {
		env   map[string]string
		fails string
	}{
		"no collector": {},
		"disabled":     {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}},
		"no exporter":  {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}},
		"gRPC":         {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, fails: "http/protobuf"},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, err := New(context.Background(), func(name string) string { return c.env[name] }, "1")
			if tracer != nil || (c.fails == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v, %v", tracer, err)
			}
		})
	}
}
