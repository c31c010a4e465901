package events_test

import (
	"strings"
	"testing"

	"github.com/schemawave/schemawave/events"
)

func TestSubjects(t *testing.T) {
	for _, c := range []struct{ name, got, want string }{
		{"state", events.StateSubject("production", "orders", ""), "schema.state.v1.production.orders"},
		{"state of a tenant", events.StateSubject("production", "orders", "acme"), "schema.state.v1.production.orders.acme"},
		{"live", events.LiveSubject("production", "orders", "acme"), "schema.live.v1.production.orders.acme"},
		{"event", events.EventSubject("production", "orders", events.Failed), "schema.event.v1.production.orders.failed"},
		{"names with dots stay one token", events.StateSubject("eu.west", "db.v2", ""), "schema.state.v1.eu%2Ewest.db%2Ev2"},
		{"wildcards are names, not wildcards", events.StateSubject("*", ">", " "), "schema.state.v1.%2A.%3E.%20"},
		{"empty names keep their place", events.StateSubject("", "orders", ""), "schema.state.v1.%.orders"},
		{"bytes, not characters", events.StateSubject("prod", "größe", ""), "schema.state.v1.prod.gr%C3%B6%C3%9Fe"},
		{"filter of all", events.EventFilter(""), "schema.event.v1.>"},
		{"filter of a database", events.DatabaseEventFilter("eu.west", "orders"), "schema.event.v1.eu%2Ewest.orders.*"},
		{"filter of an environment", events.StateFilter("eu.west"), "schema.state.v1.eu%2Ewest.>"},
		{"live filter", events.LiveFilter("prod"), "schema.live.v1.prod.>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.got != c.want {
				t.Errorf("got %s, want %s", c.got, c.want)
			}
		})
	}
}

func TestParseSubjectRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"another application's":    "orders.created.v1.production.orders",
		"another version":          "schema.state.v2.production.orders",
		"an unknown kind":          "schema.dead.v1.production.orders",
		"too few tokens":           "schema.state.v1.production",
		"too many tokens":          "schema.state.v1.production.orders.acme.eu",
		"an event without a fact":  "schema.event.v1.production.orders",
		"an empty token":           "schema.state.v1.production.",
		"a wildcard":               "schema.state.v1.production.*",
		"an escape cut short":      "schema.state.v1.production.a%2",
		"lower-case digits":        "schema.state.v1.production.a%2e",
		"an escape nobody needs":   "schema.state.v1.production.%61",
		"a tenant without a name":  "schema.state.v1.production.orders.%",
		"a name written unescaped": "schema.state.v1.production.größe",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := events.ParseSubject(s); err == nil {
				t.Errorf("%s: accepted as %+v", s, got)
			}
		})
	}
}

// Whatever the names are, the subject is one that NATS takes literally, and it gives the names back.
func FuzzSubjectRoundTrip(f *testing.F) {
	f.Add("production", "orders", "acme", "succeeded")
	f.Add("", "", "", "")
	f.Add("*", ">", "a.b c\x00\xff", "%")
	f.Add("%2E", "%", "größe", "\t")
	f.Fuzz(func(t *testing.T, environment, database, tenant, predicate string) {
		for _, want := range []events.Subject{
			{Kind: events.KindState, Environment: environment, Database: database, Tenant: tenant},
			{Kind: events.KindLive, Environment: environment, Database: database, Tenant: tenant},
			{Kind: events.KindEvent, Environment: environment, Database: database, Predicate: events.Predicate(predicate)},
		} {
			s := want.String()
			if strings.ContainsAny(s, "*> \t\r\n") || strings.Contains(s, "..") || strings.HasSuffix(s, ".") {
				t.Errorf("%+v: %q is not a literal subject", want, s)
			}
			got, err := events.ParseSubject(s)
			if err != nil || got != want {
				t.Errorf("%q: got %+v, %v, want %+v", s, got, err, want)
			}
		}
	})
}

// One subject has one spelling.
func FuzzParseSubject(f *testing.F) {
	f.Add("schema.state.v1.production.orders")
	f.Add("schema.event.v1.%.a%2Eb.failed")
	f.Add("schema.live.v1.%41.b")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := events.ParseSubject(s); err == nil && got.String() != s {
			t.Errorf("%q was read as %+v, which is %q", s, got, got)
		}
	})
}
