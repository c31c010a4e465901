package migrations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func set(versions ...Version) Set {
	var s Set
	for _, v := range versions {
		s.Migrations = append(s.Migrations, Migration{Version: v, Checksum: "sha256:" + string(v), Up: Script{Path: string(v) + "_x.sql"}})
	}
	return s
}

// The digest names objects in other people's clusters: it may never change.
func TestDigestIsStable(t *testing.T) {
	s, err := Load(dir("0001_a.sql", "SELECT 1;\n", "2_b.sql", "SELECT 2;\n"), LayoutAuto)
	if err != nil {
		t.Fatal(err)
	}
	const want = "sha256:d3b780f44495e9c6ebc60531a523e56d28be24e5bca820e28817b5733e2daf18"
	if got := s.Digest(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	same, err := Load(dir("1_renamed.sql", "SELECT 1;\n", "002_b.sql", "SELECT 2;\n"), LayoutAuto)
	if err != nil || same.Digest() != want {
		t.Errorf("renamed: %s, %v", same.Digest(), err)
	}
	other, err := Load(dir("1_a.sql", "SELECT 1;\n", "2_b.sql", "SELECT 3;\n"), LayoutAuto)
	if err != nil || other.Digest() == want {
		t.Errorf("edited: %s, %v", other.Digest(), err)
	}
}

func TestDigesterTakesAnyOrder(t *testing.T) {
	want := set("1", "2", "3", "10").Digest()
	var d Digester
	for _, v := range []Version{"10", "1", "3", "2"} {
		d.Add(v, "sha256:"+string(v))
	}
	if got := d.Sum(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d.Add("11", "")
	if got := d.Sum(); got != "" {
		t.Errorf("of an unknown checksum: %s", got)
	}
	if (&Digester{}).Sum() != (Set{}).Digest() {
		t.Error("of nothing")
	}
}

func TestUpto(t *testing.T) {
	s := set("1", "2", "3.1", "10")
	for target, want := range map[string]Version{"": "10", "latest": "10", "2": "2", "003.1": "3.1", "10.0": "10", "1": "1"} {
		got, err := s.Upto(target)
		if err != nil || got.Latest() != want {
			t.Errorf("%q: %s, %v", target, got.Latest(), err)
		}
	}
	for target, near := range map[string][]Version{"3": {"1", "2", "3.1", "10"}, "11": {"3.1", "10"}, "0": {"1", "2"}, "x": nil} {
		_, err := s.Upto(target)
		var unknown *UnknownVersionError
		if !errors.As(err, &unknown) || !slices.Equal(unknown.Nearest, near) || CodeOf(err) != ExitConfig {
			t.Errorf("%q: %v", target, err)
		}
	}
	if (Set{}).Latest() != "" {
		t.Error("the latest version of nothing")
	}
}

func TestMinCompatible(t *testing.T) {
	s := set("1", "2", "3", "4")
	s.Migrations[1].MinCompatible, s.Migrations[2].MinCompatible = "2", "1"
	if got := s.MinCompatible(); got != "2" {
		t.Errorf("%s", got)
	}
	if got := set("1").MinCompatible(); got != "" {
		t.Errorf("%s", got)
	}
}

func TestPlan(t *testing.T) {
	applied := func(versions ...Version) []Applied {
		var out []Applied
		for _, v := range versions {
			out = append(out, Applied{Version: v, Checksum: "sha256:" + string(v), Name: "x"})
		}
		return out
	}
	for _, c := range []struct {
		name    string
		set     Set
		applied []Applied
		policy  OutOfOrder
		want    string // pending | skipped | from | ahead
	}{
		{"fresh", set("1", "2"), nil, "", "[1 2] [] from  ahead []"},
		{"some", set("1", "2", "3"), applied("1", "2"), "", "[3] [] from 2 ahead []"},
		{"all", set("1", "2"), applied("1", "2"), "", "[] [] from 2 ahead []"},
		{"ahead", set("1", "2"), applied("1", "2", "3"), "", "[] [] from 3 ahead [3]"},
		{"another spelling", set("1.0"), []Applied{{Version: "1", Checksum: "sha256:1.0"}}, "", "[] [] from 1 ahead []"},
		{"unknown checksum", set("1"), []Applied{{Version: "1"}}, "", "[] [] from 1 ahead []"},
		{"late, applied", set("1", "2", "3"), applied("1", "3"), OutOfOrderApply, "[2] [] from 3 ahead []"},
		{"late, skipped", set("1", "2", "3", "4"), applied("1", "3"), OutOfOrderSkip, "[4] [2] from 3 ahead []"},
		{"nothing in the set", Set{}, applied("1"), "", "[] [] from 1 ahead [1]"},
	} {
		p, err := c.set.Plan(c.applied, Policy{OutOfOrder: c.policy})
		got := fmt.Sprintf("%v %v from %s ahead %v", versions(p.Pending), versions(p.Skipped), p.From, p.Ahead)
		if err != nil || got != c.want || p.Current() != (len(p.Pending) == 0) {
			t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
		}
	}
	edited := applied("1", "2", "4")
	edited[0].Checksum = "sha256:other"
	_, err := set("1", "3", "4").Plan(edited, Policy{})
	var all *HistoryError
	if !errors.As(err, &all) || len(all.Deviations) != 3 || CodeOf(err) != ExitRejected {
		t.Fatalf("%v", err)
	}
	if !errors.As(err, new(*EditedError)) || !errors.As(err, new(*OutOfOrderError)) || !errors.As(err, new(*MissingFileError)) {
		t.Errorf("%v", err)
	}
	if n := strings.Count(err.Error(), "\n"); n != 2 || !strings.Contains(err.Error(), "3_x.sql") {
		t.Errorf("%v", err)
	}
}

func versions(ms []Migration) []Version {
	var out []Version
	for _, m := range ms {
		out = append(out, m.Version)
	}
	return out
}

func TestVersions(t *testing.T) {
	for in, want := range map[string]Version{"7": "7", "007": "7", "0": "0", "000": "0", "1.02": "1.2", "1_2": "1.2", "99999999999999999999999": "99999999999999999999999"} {
		if got, err := ParseVersion(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "a", "1a", "1..2", ".1", "1.", "-1", "1 ", "١", "1" + strings.Repeat(".0", 200)} {
		if got, err := ParseVersion(in); err == nil {
			t.Errorf("%q was read as %q", in, got)
		}
	}
	order := []Version{"", "0", "1", "1.0.1", "1.2", "1.10", "2", "10", "20260101000000", "99999999999999999999999"}
	for i, v := range order {
		for j, w := range order {
			want := min(1, max(-1, i-j))
			if got := v.Compare(w); got != want {
				t.Errorf("%q against %q: %d, want %d", v, w, got, want)
			}
		}
	}
	if Version("1").Compare("1.0.0") != 0 || Version("1").key() != Version("1.0.0").key() {
		t.Error("1 and 1.0.0 differ")
	}
}
