package migrations

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// repeating loads a Flyway directory of versions 1 and 2 with these repeatable files, given as pairs of name and content.
func repeating(t *testing.T, pairs ...string) Set {
	t.Helper()
	s, err := Load(dir(append(pairs, "V1__a.sql", "SELECT 1", "V2__b.sql", "SELECT 2")...), LayoutFlyway)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ids lists migrations by their IDs.
func ids(ms []Migration) string {
	var out []string
	for _, m := range ms {
		out = append(out, m.ID())
	}
	return strings.Join(out, " ")
}

func TestRepeatablesAreLoadedApart(t *testing.T) {
	s := repeating(t, "R__views.sql", "\uFEFFSELECT 3", "R__a_first.sql", "SELECT 4", "R__vacuum.sql", "VACUUM", "U2__b.sql", "SELECT -2")
	if got := ids(s.Migrations) + " | " + ids(s.Repeatables); got != "1 2 | R__a_first R__vacuum R__views" {
		t.Errorf("%s", got)
	}
	if got := ids(s.All()); got != "1 2 R__a_first R__vacuum R__views" {
		t.Errorf("in order: %s", got)
	}
	if got := s.Files(); !slices.Equal(got, []string{"V1__a.sql", "V2__b.sql", "U2__b.sql", "R__a_first.sql", "R__vacuum.sql", "R__views.sql"}) {
		t.Errorf("files: %v", got)
	}
	if m := s.Repeatables[2]; m.Version != "" || m.Name != "views" || m.Up != (Script{Path: "R__views.sql", Line: 1, SQL: "SELECT 3"}) || m.Down != nil || m.NoTransaction {
		t.Errorf("%+v", m)
	}
	if !s.Repeatables[1].NoTransaction || s.Latest() != "2" || s.MinCompatible() != "" {
		t.Errorf("%+v, latest %s", s.Repeatables[1], s.Latest())
	}
}

func TestLoadRefusesRepeatables(t *testing.T) {
	for name, sql := range map[string]string{
		"empty": "-- nothing", "transaction": "BEGIN; SELECT 1", "placeholder": "SELECT '${x}'", "unclosed": "SELECT '",
		"mixed": "SELECT 1; VACUUM", "directive": "-- schemawave: fast\nSELECT 1",
	} {
		_, err := Load(dir("V1__a.sql", "SELECT 1", "R__x.sql", sql), LayoutAuto)
		all, ok := err.(*LoadError)
		if !ok || len(all.Problems) != 1 || all.Problems[0].File != "R__x.sql" || all.Problems[0].Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The digest names objects in other people's clusters: it may never change, neither with nor without repeatable migrations.
func TestDigestOfRepeatables(t *testing.T) {
	without, a := repeating(t), repeating(t, "R__a.sql", "SELECT 3")
	if without.Digest() != without.HistoryDigest() || a.HistoryDigest() != without.HistoryDigest() {
		t.Errorf("the history's digest is %s without and %s with one, the set's %s", without.HistoryDigest(), a.HistoryDigest(), without.Digest())
	}
	const want = "sha256:5ee03650461d0a572052c0d72ae2deb35ca9531355d25fd575fb98cac12f55e6"
	if got := a.Digest(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	seen := map[string]string{without.Digest(): "none"}
	for name, s := range map[string]Set{
		"one":     a,
		"edited":  repeating(t, "R__a.sql", "SELECT 4"),
		"renamed": repeating(t, "R__b.sql", "SELECT 3"),
		"two":     repeating(t, "R__a.sql", "SELECT 3", "R__b.sql", "SELECT 3"),
	} {
		if other, taken := seen[s.Digest()]; taken {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[s.Digest()] = name
	}
}

// Repeatable migrations speak of the newest schema.
func TestUptoLeavesRepeatablesOut(t *testing.T) {
	s := repeating(t, "R__a.sql", "SELECT 3")
	for target, want := range map[string]string{"": "1 2 R__a", "latest": "1 2 R__a", "2": "1 2 R__a", "2.0": "1 2 R__a", "1": "1"} {
		if got, err := s.Upto(target); err != nil || ids(got.All()) != want {
			t.Errorf("up to %q: %s, %v, want %s", target, ids(got.All()), err, want)
		}
	}
	if upto, _ := s.Upto("1"); upto.Digest() != upto.HistoryDigest() {
		t.Error("the digest up to 1 holds what was left out")
	}
}

func TestPlanRepeatsOnChange(t *testing.T) {
	s := repeating(t, "R__a.sql", "SELECT 3", "R__b.sql", "SELECT 4")
	versioned := func(versions ...Version) []Applied {
		var out []Applied
		for _, v := range versions {
			out = append(out, Applied{Version: v})
		}
		return out
	}
	a, b := Applied{Name: "a", Checksum: s.Repeatables[0].Checksum}, Applied{Name: "b", Checksum: s.Repeatables[1].Checksum}
	edited := Applied{Name: "b", Checksum: "sha256:other"}
	for _, c := range []struct {
		name    string
		applied []Applied
		want    string // pending | repeat | from | ahead
	}{
		{"fresh", nil, "1 2 | R__a R__b |  | []"},
		{"never run", versioned("1", "2"), " | R__a R__b | 2 | []"},
		{"as they were", append(versioned("1", "2"), a, b), " |  | 2 | []"},
		{"one has changed", append(versioned("1", "2"), a, edited), " | R__b | 2 | []"},
		{"one is new", append(versioned("1", "2"), b), " | R__a | 2 | []"},
		{"a new version repeats nothing", append(versioned("1"), a, b), "2 |  | 1 | []"},
		{"checksum not known", append(versioned("1", "2"), a, Applied{Name: "b"}), " | R__b | 2 | []"},
		{"its file is gone", append(versioned("1", "2"), a, b, Applied{Name: "gone", Checksum: "sha256:gone"}), " |  | 2 | []"},
		{"ahead", append(versioned("1", "2", "3"), a, edited), " |  | 3 | [3]"},
		{"ahead, never run", versioned("1", "2", "3"), " |  | 3 | [3]"},
	} {
		p, err := s.Plan(c.applied, Policy{})
		got := fmt.Sprintf("%s | %s | %s | %v", ids(p.Pending), ids(p.Repeat), p.From, p.Ahead)
		if err != nil || got != c.want || p.Current() != (len(p.Pending)+len(p.Repeat) == 0) {
			t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
		}
	}
	if p, err := s.Plan([]Applied{{Version: "1", Checksum: "sha256:other"}, edited}, Policy{}); err == nil || !reflect.DeepEqual(p, Plan{}) {
		t.Errorf("with an edited version: %+v, %v", p, err)
	}
}
