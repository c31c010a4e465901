package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// BenchmarkReadyAlready runs the whole process of a wait for a schema that is ready, beside one that only tells its version: medians.
//
//	go test -run '^$' -bench ReadyAlready -benchtime 100x ./cmd/schemawave-runner
func BenchmarkReadyAlready(b *testing.B) {
	program := filepath.Join(b.TempDir(), "schemawave-runner")
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	s, err := natstest.Start(natstest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := publish(b.Context(), s.URL()); err != nil {
		b.Fatal(err)
	}
	run := func(args ...string) float64 {
		c := exec.CommandContext(b.Context(), program, args...)
		c.Env = append(os.Environ(), "NATS_URL="+s.URL())
		began := time.Now()
		if out, err := c.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		return float64(time.Since(began)) / float64(time.Millisecond)
	}
	var wait, version []float64
	for b.Loop() {
		wait, version = append(wait, run("wait", "production/orders@2")), append(version, run("--version"))
	}
	slices.Sort(wait)
	slices.Sort(version)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(wait[len(wait)/2], "wait-ms")
	b.ReportMetric(version[len(version)/2], "version-ms")
}

// publish makes production/orders ready at version 2.
func publish(ctx context.Context, url string) error {
	nc, err := jetstream.Connect(ctx, jetstream.Options{URL: url})
	if err != nil {
		return err
	}
	defer nc.Close()
	streams, err := jetstream.NewStreams(nc)
	if err != nil {
		return err
	}
	if err := streams.Ensure(ctx, jetstream.StreamOptions{Replicas: 1}); err != nil {
		return err
	}
	p, err := jetstream.NewPublisher(nc)
	if err != nil {
		return err
	}
	_, err = p.PublishState(ctx, events.State{
		Environment: "production", Database: "orders",
		Ready: &events.Ready{Version: "2", Digest: "sha256:2", Evidence: events.EvidenceReport, Since: time.Now()},
	}, 0, "2")
	return err
}
