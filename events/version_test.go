package events_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/events"
)

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		reason, a, b string
		want         int
	}{
		{"the empty version is the oldest", "", "0", -1},
		{"nothing is nothing", "", "", 0},
		{"numbers, not text", "9", "10", -1},
		{"leading zeros mean nothing", "007", "7", 0},
		{"numbers of any length", "99999999999999999999", "100000000000000000000", -1},
		{"timestamps", "20261122093000", "20261122093001", -1},
		{"part by part", "1.2.10", "1.2.9", 1},
		{"a missing part counts as zero", "1", "1.0.0", 0},
		{"zeros within count", "1.0.1", "1.1", -1},
		{"a part more is newer", "1.2", "1.2.1", -1},
		{"Laravel: by date, then by name", "2024_01_01_000000_create_users", "2024_01_02_000000_add_index", -1},
		{"Django: by number", "0009_zebra", "0010_apple", -1},
		{"the same number: by name", "0010_apple", "0010_banana", -1},
		{"one name begins the other", "0010_apple", "0010_apple_pie", -1},
		{"digits come before letters", "1.5", "1.a", -1},
		{"bytes, so capitals first", "Z", "a", -1},
	} {
		t.Run(c.reason, func(t *testing.T) {
			if got := events.CompareVersions(c.a, c.b); got != c.want {
				t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
			}
			if got := events.CompareVersions(c.b, c.a); got != -c.want {
				t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.b, c.a, got, -c.want)
			}
		})
	}
}

// The order is total, and for versions of digits and dots it is that of numbers compared part by part.
func FuzzCompareVersions(f *testing.F) {
	f.Add("1.0", "1", "1.0.1")
	f.Add("a1", "a01", "ab")
	f.Add("2024_01_01", "2024.01", "")
	f.Add("1.0a", "1.", ".0")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		ab, ba := events.CompareVersions(a, b), events.CompareVersions(b, a)
		if ab != -ba {
			t.Errorf("CompareVersions(%q, %q) = %d, but %d the other way round", a, b, ab, ba)
		}
		if events.CompareVersions(a, a) != 0 {
			t.Errorf("%q is not the same as itself", a)
		}
		bc, ac := events.CompareVersions(b, c), events.CompareVersions(a, c)
		if ab <= 0 && bc <= 0 && ac > 0 || ab == 0 && bc == 0 && ac != 0 {
			t.Errorf("not transitive: %q, %q, %q give %d, %d, but %d", a, b, c, ab, bc, ac)
		}
		x, okA := parts(a)
		y, okB := parts(b)
		if want := comparePartByPart(x, y); okA && okB && ab != want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", a, b, ab, want)
		}
	})
}

func parts(v string) (numbers []*big.Int, ok bool) {
	for _, p := range strings.Split(v, ".") {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return nil, false
		}
		n, _ := new(big.Int).SetString(p, 10)
		numbers = append(numbers, n)
	}
	return numbers, true
}

func comparePartByPart(a, b []*big.Int) int {
	for i := range max(len(a), len(b)) {
		x, y := new(big.Int), new(big.Int)
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if c := x.Cmp(y); c != 0 {
			return c
		}
	}
	return 0
}
