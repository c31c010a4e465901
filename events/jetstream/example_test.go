package jetstream_test

import (
	"context"
	"errors"
	"log"
	"os"
	"time"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
)

// A service that starts only when the schema it needs is there.
func ExampleWaiter_Wait() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()

	target, err := events.ParseTarget("production/orders@20261122093000")
	if err != nil {
		log.Fatal(err)
	}
	options := jetstream.OptionsFromEnv(os.Getenv)
	options.Name, options.Retry = "billing waits for orders", true
	nc, err := jetstream.Connect(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()

	_, err = jetstream.NewWaiter(nc).Wait(ctx, jetstream.Query{
		Targets:  []events.Target{target},
		Progress: func(message string) { log.Print(message) },
	})
	var unmet *jetstream.WaitError
	if errors.As(err, &unmet) && unmet.Answer() == events.Incompatible {
		log.Fatalf("this release is too old for the schema: %v", err)
	}
	if err != nil {
		log.Fatal(err)
	}
}
