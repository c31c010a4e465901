package manifests

import (
	"fmt"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// Target names a schema to wait for, as the command wait takes it.
type Target struct {
	Environment, Database string
	Tenant                string             // empty: the database as a whole
	Version               migrations.Version // the oldest that will do; empty: any that is proven
}

// ParseTarget reads environment/database[/tenant][@version]. The version latest is no version: whatever is proven is the newest
// there is.
func ParseTarget(s string) (Target, error) {
	names, version, versioned := strings.Cut(s, "@")
	parts := strings.Split(names, "/")
	if len(parts) != 2 && len(parts) != 3 {
		return Target{}, fmt.Errorf("%q is not environment/database[@version]", s)
	}
	t := Target{Environment: parts[0], Database: parts[1]}
	if !dnsLabel.MatchString(t.Environment) || !dnsLabel.MatchString(t.Database) {
		return Target{}, fmt.Errorf("%q is not environment/database[@version], of which the first two are DNS labels", s)
	}
	if len(parts) == 3 {
		t.Tenant = parts[2]
		if t.Tenant == "" || strings.ContainsAny(t.Tenant, " \t\r\n") {
			return Target{}, fmt.Errorf("%q names no tenant after its second slash", s)
		}
	}
	var err error
	if versioned && version != "latest" {
		if t.Version, err = migrations.ParseVersion(version); err != nil {
			return Target{}, fmt.Errorf("%q: %w", s, err)
		}
	}
	return t, nil
}

// String is the form that ParseTarget reads.
func (t Target) String() string {
	s := t.Environment + "/" + t.Database
	if t.Tenant != "" {
		s += "/" + t.Tenant
	}
	if t.Version != "" {
		s += "@" + string(t.Version)
	}
	return s
}
