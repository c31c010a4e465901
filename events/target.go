package events

import (
	"fmt"
	"net/url"
	"strings"
)

// Target names what to wait for: a database, perhaps one tenant of it, and the oldest version that will do.
type Target struct {
	Environment, Database string
	Tenant                string // empty: the database as a whole
	Version               string // empty: any proven version
}

const targetForm = "want environment/database[/tenant][@version], as in production/orders@20261122093000"

// ParseTarget reads environment/database[/tenant][@version]. A name that holds "/", "@", "%" or a blank is written with
// percent-encoding: %2F, %40, %25, %20.
func ParseTarget(s string) (Target, error) {
	names, version, versioned := strings.Cut(s, "@")
	if versioned && version == "" {
		return Target{}, fmt.Errorf("target %q has no version after the @: leave the @ out to accept any version", s)
	}
	if strings.Contains(version, "@") {
		return Target{}, fmt.Errorf("target %q has two @: write one that belongs to a name as %%40", s)
	}
	parts := strings.Split(names, "/")
	if len(parts) != 2 && len(parts) != 3 {
		return Target{}, fmt.Errorf("target %q has %d names: %s", s, len(parts), targetForm)
	}
	for i, what := range []string{"environment", "database", "tenant"}[:len(parts)] {
		if parts[i] == "" {
			return Target{}, fmt.Errorf("target %q has an empty %s: %s", s, what, targetForm)
		}
	}
	t := Target{}
	parts = append(parts, version)
	for i, p := range parts {
		name, err := url.PathUnescape(p)
		if err != nil || strings.ContainsAny(p, " \t\r\n") {
			return Target{}, fmt.Errorf("target %q: %q is not percent-encoded: write %% as %%25 and a blank as %%20", s, p)
		}
		parts[i] = name
	}
	t.Environment, t.Database, t.Version = parts[0], parts[1], parts[len(parts)-1]
	if len(parts) == 4 {
		t.Tenant = parts[2]
	}
	return t, nil
}

var escaper = strings.NewReplacer("%", "%25", "/", "%2F", "@", "%40", " ", "%20", "\t", "%09", "\r", "%0D", "\n", "%0A")

// String is the form that ParseTarget reads.
func (t Target) String() string {
	s := escaper.Replace(t.Environment) + "/" + escaper.Replace(t.Database)
	if t.Tenant != "" {
		s += "/" + escaper.Replace(t.Tenant)
	}
	if t.Version != "" {
		s += "@" + escaper.Replace(t.Version)
	}
	return s
}
