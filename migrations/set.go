package migrations

import (
	"fmt"
	"strings"
)

// Digest identifies the set, by the versions and the bytes of its files and nothing else. It is that of a Digester, and so
// the one that a ledger shows once exactly this set is applied.
func (s Set) Digest() string {
	var d Digester
	for _, m := range s.Migrations {
		d.Add(m.Version, m.Checksum)
	}
	return d.Sum()
}

// Latest is the newest version; empty for an empty set.
func (s Set) Latest() Version {
	if len(s.Migrations) == 0 {
		return ""
	}
	return s.Migrations[len(s.Migrations)-1].Version
}

// MinCompatible is the oldest schema version whose readers work with the set fully applied: the newest that any of its
// migrations names. Empty if none does.
func (s Set) MinCompatible() Version {
	var v Version
	for _, m := range s.Migrations {
		if m.MinCompatible.Compare(v) > 0 {
			v = m.MinCompatible
		}
	}
	return v
}

// Upto returns the migrations up to and with target. "latest" and "" mean all. A version that is not in the set is an
// *UnknownVersionError, so that a misspelt target does not silently stop short.
func (s Set) Upto(target string) (Set, error) {
	if target == "" || target == "latest" {
		return s, nil
	}
	v, err := ParseVersion(target)
	if err != nil {
		return Set{}, &UnknownVersionError{Target: target, Reason: err.Error()}
	}
	for i, m := range s.Migrations {
		switch c := m.Version.Compare(v); {
		case c == 0:
			return Set{Layout: s.Layout, Migrations: s.Migrations[:i+1]}, nil
		case c > 0:
			return Set{}, &UnknownVersionError{Target: target, Nearest: s.around(i)}
		}
	}
	return Set{}, &UnknownVersionError{Target: target, Nearest: s.around(len(s.Migrations))}
}

// around lists up to two versions on either side of index i.
func (s Set) around(i int) []Version {
	var near []Version
	for _, m := range s.Migrations[max(0, i-2):min(len(s.Migrations), i+2)] {
		near = append(near, m.Version)
	}
	return near
}

// UnknownVersionError says that the target is not a version of the set.
type UnknownVersionError struct {
	Target  string
	Reason  string    // why Target is no version at all; empty if it is one
	Nearest []Version // of the set, around the place where Target would be
}

// Error names the nearest versions.
func (e *UnknownVersionError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("target %q: %s", e.Target, e.Reason)
	}
	near := make([]string, len(e.Nearest))
	for i, v := range e.Nearest {
		near[i] = string(v)
	}
	return fmt.Sprintf("target %s is not among the migrations (nearest: %s)", e.Target, strings.Join(near, ", "))
}

// ExitCode is ExitConfig.
func (e *UnknownVersionError) ExitCode() ExitCode { return ExitConfig }
