package main

import (
	"log/slog"
	"strings"
	"testing"
)

// TestAddressOfTheBroker: what a Secret says by NATS_URL comes before the configuration.
func TestAddressOfTheBroker(t *testing.T) {
	for env, want := range map[string]string{"": "nats://127.0.0.1:1", "nats://user:hunter2@127.0.0.1:2": "nats://127.0.0.1:2"} {
		getenv := func(name string) string { return map[string]string{"NATS_URL": env}[name] }
		nc, err := broker(t.Context(), natsConfig{URL: "nats://127.0.0.1:1"}, getenv, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if got := strings.Join(nc.Servers(), ","); got != want {
			t.Errorf("with NATS_URL %q it connects to %s", env, got)
		}
	}
}
