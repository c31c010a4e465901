package migrationstest

import (
	"slices"
	"strings"
	"testing"
)

func TestARightRunnerPasses(t *testing.T) {
	Run(t, func(*testing.T) Database { return newFake("") })
}

// Each rule has to be broken by runners that break it, and to say why.
func TestAWrongRunnerFails(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range []struct{ defect, rule, says string }{
		{"newer files go first", "a fresh run applies everything in order", "not there"},
		{"nothing is recorded", "a fresh run applies everything in order", "report says"},
		{"the ledger shows the digest of something else", "a fresh run applies everything in order", "the ledger shows the digest"},
		{"every run has the same id", "a second run changes nothing", "two runs have the id"},
		{"targets are ignored", "a target is where a run stops", "report has the digest"},
		{"targets are ignored", "an unknown target is refused", "the run succeeded"},
		{"min-compatible is forgotten", "min-compatible travels to every report", `min-compatible is ""`},
		{"what failed is half done", "a failing migration leaves nothing behind", "have entered [2 half]"},
		{"a failure stops nothing", "a failing migration leaves nothing behind", "the run succeeded"},
		{"failures are no errors", "a failing migration leaves nothing behind", "the run succeeded"},
		{"failures are not reported", "a failing migration leaves nothing behind", "has the outcome"},
		{"places are forgotten", "a failure names its place", "the place is 03_step.sql:0:0"},
		{"statements are told as they are", "nothing confidential is told", "a value of"},
		{"details of the server are told", "nothing confidential is told", "a value of"},
		{"the whole file is told", "a long report fits", "more than the 4096"},
		{"a file begins anew after a failure", "outside a transaction a file goes on where it failed", "have entered [3 3]"},
		{"checksums are not compared", "an edited file is refused", "the run succeeded"},
		{"missing files are not missed", "a missing file is refused", "the run succeeded"},
		{"one deviation hides the others", "every deviation is named at once", "not of the right type"},
		{"late files are applied", "a late file is refused", "the run succeeded"},
		{"late files are skipped", "a late file is refused", "the run succeeded"},
		{"late files are applied", "a late file is skipped on demand", "report says"},
		{"late files are skipped", "a late file is applied on demand", "report says"},
		{"being ahead is an error", "a ledger ahead of the files is no error", "the run failed"},
		{"repeatable files go first", "repeatable files run after the others", "have entered [a b 2]"},
		{"repeatable files run every time", "repeatable files run after the others", "repeated [a b]"},
		{"repeatable files run every time", "repeatable files run again when they have changed", "repeated [a b]"},
		{"repeatable files run once", "repeatable files run again when they have changed", "repeated []"},
		{"what failed is half done", "a failing repeatable file leaves nothing behind", "have entered [2 a half]"},
		{"a failure stops nothing", "a failing repeatable file leaves nothing behind", "the run succeeded"},
		{"places are forgotten", "a failing repeatable file leaves nothing behind", "want 2 and a permanent failure of R__b.sql:4"},
		{"repeatable files ignore the target", "short of the newest version nothing is repeated", "report has the digest"},
		{"an older image repeats", "short of the newest version nothing is repeated", "report says"},
		{"runners do not wait for each other", "many runners apply each migration once", "have applied 80 migrations, want 10"},
		{"the server goes on after an interruption", "an interrupted run is gone on with", "goes on after the run has ended"},
		{"what was interrupted is recorded", "an interrupted run is gone on with", "the ledger has [1 2 3]"},
		{"an interruption is permanent", "an interrupted run is gone on with", "not permanent"},
		{"a context that is over is ignored", "a run that is over before it begins changes nothing", "the run succeeded"},
	} {
		t.Run(c.defect+"/"+c.rule, func(t *testing.T) {
			i := slices.IndexFunc(rules(), func(r rule) bool { return r.name == c.rule })
			if i < 0 {
				t.Fatal("there is no such rule")
			}
			err := rules()[i].check(t.Context(), newFake(c.defect))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error that says %q", err, c.says)
			}
		})
		tried[c.rule] = true
	}
	for _, r := range rules() {
		if !tried[r.name] {
			t.Errorf("no runner breaks the rule that %s", r.name)
		}
	}
}
