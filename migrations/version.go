package migrations

import (
	"fmt"
	"strings"
)

// Version names one migration within a database: one or more decimal numbers joined by dots, without leading zeros
// ("7", "20261122093000", "1.2.3"). The zero value is the empty database, before any migration.
//
// A version is kept as written except for leading zeros, so that renaming 007_x.sql to 0007_x.sql changes nothing.
type Version string

// maxVersionBytes is as long as a file's name can be. A report carries six versions at least.
const maxVersionBytes = 255

// ParseVersion returns the canonical form of s, whose numbers may be separated by dots or underscores (Flyway allows both).
func ParseVersion(s string) (Version, error) {
	if len(s) > maxVersionBytes {
		return "", fmt.Errorf("version of %d bytes is longer than a file's name: want digits, as in 20261122093000", len(s))
	}
	if s == "" {
		return "", fmt.Errorf("version is empty: want digits, as in 20261122093000")
	}
	parts := []string{s}
	if strings.ContainsAny(s, "._") {
		parts = strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '_' })
	}
	if strings.Count(s, ".")+strings.Count(s, "_") != len(parts)-1 {
		return "", fmt.Errorf("version %q has an empty part: want digits joined by single dots", s)
	}
	for i, p := range parts {
		if strings.Trim(p, "0123456789") != "" {
			return "", fmt.Errorf("version %q is not a number: want digits joined by dots, as in 20261122093000 or 1.2.3", s)
		}
		if p = strings.TrimLeft(p, "0"); p == "" {
			p = "0"
		}
		parts[i] = p
	}
	return Version(strings.Join(parts, ".")), nil
}

// Compare returns -1, 0 or +1 as v is older than, the same as or newer than w. Numbers compare part by part at any
// length; a missing part counts as zero, so "1" and "1.0" are the same version. The empty version is the oldest.
func (v Version) Compare(w Version) int {
	if v == "" || w == "" {
		return min(1, len(v)) - min(1, len(w))
	}
	a, b := string(v), string(w)
	for a != "" || b != "" {
		var x, y string
		x, a = nextNumber(a)
		y, b = nextNumber(b)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// nextNumber cuts the first number off s; of nothing, it is zero.
func nextNumber(s string) (number, rest string) {
	if s == "" {
		return "0", ""
	}
	number, rest, _ = strings.Cut(s, ".")
	return number, rest
}

// compareNumbers compares two decimal numbers without leading zeros: the longer is the larger.
func compareNumbers(a, b string) int {
	if len(a) != len(b) {
		if len(a) < len(b) {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

// key returns what all spellings of the same version have in common: "1.0" is "1".
func (v Version) key() Version {
	for strings.HasSuffix(string(v), ".0") {
		v = v[:len(v)-2]
	}
	return v
}
