package events_test

import (
	"strings"
	"testing"

	"github.com/schemawave/schemawave/events"
)

func TestParseTarget(t *testing.T) {
	for s, want := range map[string]events.Target{
		"production/orders@20261122093000": {Environment: "production", Database: "orders", Version: "20261122093000"},
		"production/orders":                {Environment: "production", Database: "orders"},
		"production/orders/acme@1.2":       {Environment: "production", Database: "orders", Tenant: "acme", Version: "1.2"},
		"production/orders/a%2Fb%40c@7":    {Environment: "production", Database: "orders", Tenant: "a/b@c", Version: "7"},
	} {
		got, err := events.ParseTarget(s)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("%s prints as %s", s, got)
		}
	}
}

func TestParseTargetExplains(t *testing.T) {
	for s, says := range map[string]string{
		"":                       "want environment/database",
		"orders":                 "1 names",
		"a/b/c/d@1":              "4 names",
		"/orders@1":              "empty environment",
		"production/@1":          "empty database",
		"production/orders/@1":   "empty tenant",
		"production/orders@":     "leave the @ out",
		"production/a@b.com@1":   "two @",
		"production/orders@100%": "write % as %25",
		"production/my orders":   "blank as %20",
	} {
		if got, err := events.ParseTarget(s); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %+v, %v, want an error with %q", s, got, err, says)
		}
	}
}

func FuzzTargetRoundTrip(f *testing.F) {
	f.Add("production", "orders", "acme", "20261122093000")
	f.Add("a/b", "c@d", "%2F", " 1\n")
	f.Fuzz(func(t *testing.T, environment, database, tenant, version string) {
		want := events.Target{Environment: environment, Database: database, Tenant: tenant, Version: version}
		got, err := events.ParseTarget(want.String())
		if environment == "" || database == "" {
			if err == nil {
				t.Errorf("%q was accepted as %+v", want, got)
			}
			return
		}
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", want, got, err, want)
		}
	})
}
