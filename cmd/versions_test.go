package cmd_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// TestVersionsCompareTheSame holds the order of migrations and the order that waiters are told to use together: packages
// migrations and events do not know each other.
func TestVersionsCompareTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	version := func() migrations.Version {
		parts := make([]string, 1+random.IntN(3))
		for i := range parts {
			parts[i] = strconv.Itoa(random.IntN(3) * random.IntN(12))
		}
		if random.IntN(4) == 0 {
			parts = []string{"2026" + strconv.Itoa(1e9+random.IntN(1e3))}
		}
		v, err := migrations.ParseVersion(strings.Join(parts, "."))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for range 20_000 {
		a, b := version(), version()
		want := a.Compare(b)
		if got := events.CompareVersions(string(a), string(b)); got != want {
			t.Fatalf("events.CompareVersions(%q, %q) = %d, migrations say %d", a, b, got, want)
		}
	}
}

// TestRelease holds the number of this release to be the same everywhere.
func TestRelease(t *testing.T) {
	if manifests.Version != cli.Version {
		t.Errorf("rendered Jobs carry %s, the program is %s", manifests.Version, cli.Version)
	}
}
