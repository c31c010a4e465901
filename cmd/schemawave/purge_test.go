package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
)

var streamRequest = regexp.MustCompile("`([$]JS[.]API[.]STREAM[.][A-Z]+[.]SCHEMA_STATE)`")

// tryPurge does what the nats command does, as a user who may do what docs/operations.md says: whoever waits for a database that was ready
// waits, until it is proven to be ready again.
func tryPurge(t *testing.T, words []string) {
	t.Helper()
	if len(words) != 6 || strings.Join(words[:2], " ") != "stream purge" || words[3] != "--subject" || words[5] != "--force" {
		t.Fatalf("nothing here knows how to run nats %q", words)
	}
	stream, subject := words[2], words[4]
	database, err := events.ParseSubject(strings.Replace(subject, ">", "orders", 1))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	allowed := ""
	for _, m := range streamRequest.FindAllSubmatch(page, -1) {
		allowed += fmt.Sprintf("%q, ", m[1])
	}
	broker := brokerOf(t, fmt.Sprintf(`authorization: {users: [
		{user: controller, password: secret}
		{user: purger, password: secret, permissions: {publish: [%s], subscribe: "_INBOX.>"}}
	]}`, allowed))
	as := func(user string) jetstream.Options {
		return jetstream.Options{URL: strings.Replace(broker.URL(), "//", "//"+user+":secret@", 1)}
	}
	controller, err := jetstream.Connect(t.Context(), as("controller"))
	if err != nil {
		t.Fatal(err)
	}
	defer controller.Close()
	streams, err := jetstream.NewStreams(controller)
	if err == nil {
		err = streams.Ensure(t.Context(), jetstream.StreamOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := jetstream.NewPublisher(controller)
	if err != nil {
		t.Fatal(err)
	}
	prove := func() {
		t.Helper()
		s, revision, err := publisher.State(t.Context(), database.Environment, database.Database, "")
		if err == nil {
			s.Ready = &events.Ready{Version: "7", Digest: "sha256:7", Evidence: events.EvidenceReport, Since: time.Now()}
			_, err = publisher.PublishState(t.Context(), s, revision, "the fact")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	waits, waited := make(chan string, 10), make(chan error, 1)
	wait := func() {
		target := events.Target{Environment: database.Environment, Database: database.Database, Version: "7"}
		go func() {
			_, err := jetstream.NewWaiter(controller).Wait(t.Context(), jetstream.Query{Targets: []events.Target{target}, Progress: func(m string) { waits <- m }})
			waited <- err
		}()
	}
	released := func() {
		t.Helper()
		if err := <-waited; err != nil {
			t.Error(err)
		}
	}
	prove()
	wait()
	released()

	purger, err := jetstream.Connect(t.Context(), as("purger"))
	if err != nil {
		t.Fatal(err)
	}
	defer purger.Close()
	j, err := js.New(purger)
	if err != nil {
		t.Fatal(err)
	}
	of, err := j.Stream(t.Context(), stream)
	if err == nil {
		err = of.Purge(t.Context(), js.WithPurgeSubject(subject))
	}
	if err != nil {
		t.Fatal(err)
	}
	for len(waits) > 0 {
		<-waits
	}
	wait()
	select {
	case <-waits:
	case err := <-waited:
		t.Fatalf("nobody waits after the purge: %v", err)
	}
	prove()
	released()
}
