package migrations

import (
	"strings"
	"testing"
)

// TestOutlineAgreesWithThePlan asks the outline of a set and the set itself about many a history.
func TestOutlineAgreesWithThePlan(t *testing.T) {
	applied := func(versions ...Version) []Applied {
		var out []Applied
		for _, v := range versions {
			if name, repeatable := strings.CutPrefix(string(v), "R"); repeatable {
				out = append(out, Applied{Name: name, Checksum: "sha256:" + name})
				continue
			}
			out = append(out, Applied{Version: v, Checksum: "sha256:" + string(v)})
		}
		return out
	}
	s := set("1", "2", "10")
	s.Repeatables = []Migration{{Name: "views", Checksum: "sha256:views"}, {Name: "rights", Checksum: "sha256:rights"}}
	edited := applied("1", "2", "10", "Rviews", "Rrights")
	edited[1].Checksum = "sha256:other"
	changed := applied("1", "2", "10", "Rviews", "Rrights")
	changed[4].Checksum = "sha256:other"
	unknown := applied("1", "2", "10", "Rviews", "Rrights")
	unknown[0].Checksum = ""
	respelt := applied("1", "2", "10", "Rviews", "Rrights")
	respelt[0].Version, respelt[2].Version = "1.0", "10.0.0"
	for name, c := range map[string]struct {
		applied []Applied
		want    string
	}{
		"a fresh database":                   {nil, "nothing is applied"},
		"what is older":                      {applied("1", "2"), "version 10 is not applied, the newest is 2"},
		"all of it":                          {applied("1", "2", "10", "Rviews", "Rrights"), ""},
		"in another spelling":                {respelt, ""},
		"in another order":                   {applied("1", "10", "2", "Rrights", "Rviews"), ""},
		"a repeatable one that is gone":      {applied("1", "2", "10", "Rviews", "Rrights", "Rgone"), ""},
		"a newer schema":                     {applied("1", "2", "10", "11"), ""},
		"one between is missing":             {applied("1", "10", "11"), "up to version 10 is not the same set"},
		"one between that has no file":       {applied("1", "2", "3", "10"), "up to version 10 is not the same set"},
		"an edited one":                      {edited, "up to version 10 is not the same set"},
		"a repeatable one that never ran":    {applied("1", "2", "10", "Rrights"), "migration views has not run"},
		"a repeatable one as it was":         {changed, "migration rights has not run"},
		"a history whose files were unknown": {unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.Outline().Absent(c.applied)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			plan, err := s.Plan(c.applied, Policy{OutOfOrder: OutOfOrderApply})
			if current := err == nil && plan.Current(); current != (got == "") {
				t.Errorf("the plan: current %t (%v), the outline: %q", current, err, got)
			}
		})
	}
}
