package migrations

import "testing"

// FuzzVersion holds that the canonical form is one, and that versions are in one order.
func FuzzVersion(f *testing.F) {
	f.Add("1", "1.0", "1.0.1")
	f.Add("007", "7_1", "20261122093000")
	f.Add("0", "0.0", "00000000000000000000000000000000001")
	f.Add("1__2", "1.", "١")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var vs []Version
		for _, s := range []string{a, b, c} {
			v, err := ParseVersion(s)
			if err != nil {
				if v != "" {
					t.Fatalf("%q is refused and read as %q", s, v)
				}
				continue
			}
			if again, err := ParseVersion(string(v)); err != nil || again != v || v == "" {
				t.Fatalf("%q is read as %q, that as %q (%v)", s, v, again, err)
			}
			if v.key().Compare(v) != 0 || v.key().key() != v.key() || Version("").Compare(v) != -1 {
				t.Fatalf("%q has the key %q", v, v.key())
			}
			vs = append(vs, v)
		}
		for _, v := range vs {
			for _, w := range vs {
				if v.Compare(w) != -w.Compare(v) || (v.Compare(w) == 0) != (v.key() == w.key()) {
					t.Fatalf("%q and %q", v, w)
				}
				for _, x := range vs {
					if vw, wx := v.Compare(w), w.Compare(x); vw == wx && v.Compare(x) != vw || vw == 0 && v.Compare(x) != wx {
						t.Fatalf("%q, %q and %q", v, w, x)
					}
				}
			}
		}
		if len(vs) > 1 {
			checkUniqueKey(t, vs[0], vs[1])
		}
	})
}

// checkUniqueKey holds that a plan knows a migration under every spelling of its version, and under no other's.
func checkUniqueKey(t *testing.T, v, w Version) {
	t.Helper()
	plan, err := set(v).Plan([]Applied{{Version: w}}, Policy{OutOfOrder: OutOfOrderApply})
	want := v.Compare(w)
	switch {
	case want == 0 && (err != nil || !plan.Current() || plan.Ahead != nil):
	case want > 0 && err == nil: // the file of w is missing
	case want < 0 && (err != nil || plan.Current() || len(plan.Ahead) != 1):
	default:
		return
	}
	t.Fatalf("%q, with %q applied: %+v, %v", v, w, plan, err)
}
