// Package tracing tells OpenTelemetry how a commit becomes a ready schema. Each commit of an environment repository has one trace:
// the pass that pushed it begins it, and the results of its migrations go on with it.
//
// A trace's id is the first 32 digits of its commit's hash, and the ids of the spans are made of the facts, too. So the parts need
// not hand anything to each other through git, Argo CD and Kubernetes, whoever knows the commit finds the trace, and
// what is told twice is the same span. A pass that makes no commit, as that of a controller that has just started, is a span
// of its own in the trace of the commit that it looked at.
package tracing

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/schemawave/schemawave/controller/environment"
	"github.com/schemawave/schemawave/events"
)

// Tracer writes spans. It never blocks: if the collector is slow or away, spans are dropped, and nothing else suffers.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New makes a Tracer that exports to the collector that the environment names (OpenTelemetry specification, "OpenTelemetry
// Protocol Exporter"; the exporter itself reads the variables), over HTTP. It is nil if none is named, or tracing is disabled.
func New(ctx context.Context, getenv func(string) string, version string) (*Tracer, error) {
	first := func(names ...string) string {
		for _, name := range names {
			if value := getenv(name); value != "" {
				return value
			}
		}
		return ""
	}
	endpoint := first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if endpoint == "" || getenv("OTEL_SDK_DISABLED") == "true" || getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	const protocol = "http/protobuf"
	if p := first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); p != "" && p != protocol {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q: traces are exported over %s only: set that, and the collector's HTTP port, which is 4318 by default", p, protocol)
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	return newTracer(version, sdk.WithBatcher(exporter))
}

func newTracer(version string, export sdk.TracerProviderOption) (*Tracer, error) {
	about, err := resource.New(context.Background(), resource.WithAttributes(attribute.String("service.name", "schemawave"),
		attribute.String("service.version", version)), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	// Migrations are few, and each matters: nothing is sampled away.
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSampler(sdk.AlwaysSample()), sdk.WithIDGenerator(ids{}), export)
	return &Tracer{provider, provider.Tracer("github.com/schemawave/schemawave")}, nil
}

// Close exports what is left, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("export the last traces: %w", err)
	}
	return nil
}

// Pass tells of a pass over an environment repository: in the trace of the commit that it pushed, or else of the one that it looked at.
func (t *Tracer) Pass(rep environment.Report) {
	commit := rep.Commit
	if commit == "" {
		commit = rep.Source
	}
	id, ok := traceOf(commit)
	if !ok {
		return // the host was not reached
	}
	self := trace.SpanContextConfig{TraceID: id, SpanID: passOf(id)}
	if rep.Err != nil || rep.Commit == "" { // it is tried again, or looks at what is there: each time is a span of its own
		self.SpanID = randomSpan()
	}
	ctx, span := t.tracer.Start(with(context.Background(), self), "render and push", trace.WithNewRoot(), trace.WithTimestamp(rep.Began), trace.WithAttributes(
		attribute.String("vcs.repository.url.full", rep.Repository), attribute.String("vcs.ref.head.name", rep.Branch),
		attribute.String("vcs.ref.head.revision", commit), attribute.String("schemawave.source", rep.Source),
		attribute.String("schemawave.result", string(rep.Result)), attribute.StringSlice("schemawave.overlays", rep.Rendered)))
	ended := rep.Began
	for _, s := range rep.Steps {
		_, child := t.tracer.Start(with(ctx, trace.SpanContextConfig{SpanID: randomSpan()}), s.Name, trace.WithTimestamp(s.Began))
		child.End(trace.WithTimestamp(s.Ended))
		ended = s.Ended
	}
	if rep.Err != nil {
		span.SetStatus(codes.Error, rep.Err.Error())
	}
	span.End(trace.WithTimestamp(ended))
}

// Published tells of an event that has just been published: of the migration that it is about, and of how long it took from the
// fact to its message, in the trace of the commit that was pushed: not of the one that Argo CD may have hydrated from it. A migration that has only begun is told of with its result.
func (t *Tracer) Published(e events.Event) {
	a, published := e.Attempt, time.Now()
	if a == nil || e.Predicate == events.Started {
		return
	}
	migration, publication, ok := spansOf(e.ID)
	if !ok {
		migration, publication = randomSpan(), randomSpan()
	}
	ctx := context.Background()
	self := trace.SpanContextConfig{SpanID: migration, TraceID: randomTrace()}
	if id, ok := traceOf(cmp.Or(a.DryRevision, a.Revision)); ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: passOf(id), TraceFlags: trace.FlagsSampled, Remote: true}))
	}
	began := a.Started
	if began.IsZero() || began.After(e.Time) {
		began = e.Time
	}
	ctx, span := t.tracer.Start(with(ctx, self), "migration "+string(e.Predicate), trace.WithTimestamp(began), trace.WithAttributes(
		attribute.String("deployment.environment.name", e.Environment), attribute.String("db.namespace", e.Database), attribute.String("db.system.name", "postgresql"),
		attribute.String("vcs.ref.head.revision", a.Revision), attribute.String("schemawave.application", a.Application),
		attribute.String("schemawave.version", a.Version), attribute.String("schemawave.digest", a.Digest), attribute.String("schemawave.run", a.Run),
		attribute.String("schemawave.evidence", string(a.Evidence)), attribute.Int("schemawave.applied", len(a.Applied)), attribute.String("schemawave.event", e.ID)))
	if e.Predicate != events.Succeeded {
		span.SetStatus(codes.Error, e.Reason)
	}
	_, child := t.tracer.Start(with(ctx, trace.SpanContextConfig{SpanID: publication}), "publish", trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(e.Time))
	child.End(trace.WithTimestamp(published))
	span.End(trace.WithTimestamp(published))
}

// traceOf is the trace of a commit; ok is false for a revision that is none, such as a chart's version.
func traceOf(commit string) (id trace.TraceID, ok bool) {
	if len(commit) != 40 && len(commit) != 64 {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(commit[:2*len(id)]))
	return id, err == nil && id.IsValid()
}

// passOf is the span of the pass that made a trace's commit.
func passOf(id trace.TraceID) (span trace.SpanID) {
	sum := sha256.Sum256(id[:])
	copy(span[:], sum[:])
	return span
}

// spansOf are the spans of an event's migration and of its publication.
func spansOf(id string) (migration, publication trace.SpanID, ok bool) {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != 16 {
		return migration, publication, false
	}
	copy(migration[:], b[:8])
	copy(publication[:], b[8:])
	return migration, publication, migration.IsValid() && publication.IsValid()
}

func randomSpan() (id trace.SpanID) {
	rand.Read(id[:]) //nolint:errcheck // it never fails
	return id
}

func randomTrace() (id trace.TraceID) {
	rand.Read(id[:]) //nolint:errcheck // it never fails
	return id
}

// ids gives spans the ids that the context carries.
type ids struct{}

type idsKey struct{}

func with(ctx context.Context, self trace.SpanContextConfig) context.Context {
	return context.WithValue(ctx, idsKey{}, self)
}

func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	self := ctx.Value(idsKey{}).(trace.SpanContextConfig)
	return self.TraceID, self.SpanID
}

func (i ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	_, id := i.NewIDs(ctx)
	return id
}
