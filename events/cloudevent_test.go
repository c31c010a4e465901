package events_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	cdevents "github.com/cdevents/sdk-go/pkg/api"
	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/events"
)

func TestHeaders(t *testing.T) {
	e := events.Event{ID: "4f1c", Predicate: events.Succeeded, Time: when.In(time.FixedZone("", 3600)), Environment: "production", Database: "größe \"%"}
	want := map[string]string{
		"ce-specversion":     "1.0",
		"ce-id":              "4f1c",
		"ce-source":          "/schemawave/event",
		"ce-type":            "dev.cdeventsx.schemawave-schemamigration.succeeded.0.1.0",
		"ce-time":            "2026-11-22T09:31:04.25Z",
		"ce-subject":         "production/gr%C3%B6%C3%9Fe%2520%22%2525",
		"ce-datacontenttype": "application/json",
		"content-type":       "application/json",
	}
	if diff := cmp.Diff(want, e.Headers()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	s := events.State{Environment: "production", Database: "orders", Tenant: "acme", Ready: ready, LastAttempt: good}
	got := s.Headers("4f1c")
	want["ce-source"], want["ce-type"] = "/schemawave/state", "dev.cdeventsx.schemawave-schemamigration.changed.0.1.0"
	want["ce-time"], want["ce-subject"] = "2026-11-22T09:31:05.25Z", "production/orders/acme"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if h := (events.State{Environment: "production", Database: "orders"}).Headers("x"); h["ce-time"] != "" {
		t.Errorf("a state without facts has the time %s", h["ce-time"])
	}
}

// CDEvents' own SDK reads the types as those of custom events.
func TestTypes(t *testing.T) {
	kinds := map[string]string{events.State{}.Headers("x")["ce-type"]: "changed"}
	for _, p := range []events.Predicate{
		events.Started, events.Succeeded, events.Failed, events.Skipped, events.Terminated, events.Deleted, events.Unattempted, events.Blocked, events.Stuck,
	} {
		kinds[p.Type()] = string(p)
	}
	for kind, predicate := range kinds {
		got, err := cdevents.CDEventTypeFromString(kind)
		want := &cdevents.CDEventType{Custom: "schemawave", Subject: "schemamigration", Predicate: predicate, Version: "0.1.0"}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", kind, err, diff)
		}
	}
}

// What the HTTP binding of CloudEvents forbids in a header value never appears, and the event comes back whole.
func FuzzEventRoundTrip(f *testing.F) {
	f.Add("4f1c", "production", "orders", "a reason", int64(1e18))
	f.Add("\"%41 €😀", "a b", "\x00\x7f", "\n", int64(0))
	f.Fuzz(func(t *testing.T, id, environment, database, reason string, nanos int64) {
		want := events.Event{
			ID: id, Predicate: events.Failed, Time: time.Unix(0, nanos).UTC(), Environment: strings.ToValidUTF8(environment, "?"),
			Database: strings.ToValidUTF8(database, "?"), Reason: strings.ToValidUTF8(reason, "?"),
		}
		h := want.Headers()
		for k, v := range h {
			if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
				t.Errorf("%s: %q", k, v)
			}
		}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := events.ParseEvent(func(name string) string { return h[name] }, data)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	})
}

func TestParseEventRefuses(t *testing.T) {
	for name, c := range map[string]struct{ header, value, data string }{
		"what is no JSON":            {"", "", "{"},
		"another tool's event":       {"ce-type", "dev.cdevents.service.deployed.0.1.0", "{}"},
		"a type without a version":   {"ce-type", "dev.cdeventsx.schemawave-schemamigration.failed", "{}"},
		"a time that is not RFC3339": {"ce-time", "yesterday", "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			h := events.Event{ID: "x", Predicate: events.Failed, Time: when}.Headers()
			h[c.header] = c.value
			if e, err := events.ParseEvent(func(name string) string { return h[name] }, []byte(c.data)); err == nil {
				t.Errorf("accepted as %+v", e)
			}
		})
	}
}

// The id changes with the fact and with nothing else.
func TestEventID(t *testing.T) {
	base := func() events.Event {
		a := *good
		return events.Event{Predicate: events.Succeeded, Environment: "production", Database: "orders", Tenant: "acme", Attempt: &a, Ready: ready}
	}
	id := events.EventID(base())
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		t.Errorf("id %q is not 32 hexadecimal digits", id)
	}
	for name, c := range map[string]struct {
		change func(*events.Event)
		same   bool
	}{
		"told later":          {func(e *events.Event) { e.Time = when.Add(time.Hour) }, true},
		"better evidence":     {func(e *events.Event) { e.Attempt.Evidence = events.EvidenceJob }, true},
		"other words":         {func(e *events.Event) { e.Reason = "why" }, true},
		"another predicate":   {func(e *events.Event) { e.Predicate = events.Failed }, false},
		"another environment": {func(e *events.Event) { e.Environment = "staging" }, false},
		"another database":    {func(e *events.Event) { e.Database = "customers" }, false},
		"another tenant":      {func(e *events.Event) { e.Tenant = "" }, false},
		"another version":     {func(e *events.Event) { e.Attempt.Version = "1" }, false},
		"another digest":      {func(e *events.Event) { e.Attempt.Digest = "sha256:00" }, false},
		"another run":         {func(e *events.Event) { e.Attempt.Run = "8" }, false},
		"no attempt":          {func(e *events.Event) { e.Attempt = nil }, false},
		"a shifted border":    {func(e *events.Event) { e.Environment, e.Database = "production.orders", "" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := base()
			c.change(&e)
			if got := events.EventID(e) == id; got != c.same {
				t.Errorf("same id: %v, want %v", got, c.same)
			}
		})
	}
}
