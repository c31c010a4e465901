package runner

import (
	"testing"

	"github.com/schemawave/schemawave/events"
)

// With --any a database that is not at its version is there too, and is not what was waited for.
func TestOnlyWhatIsReadyIsPrinted(t *testing.T) {
	at := func(database, version string) events.State {
		return events.State{Environment: "p", Database: database, Ready: &events.Ready{Version: version}}
	}
	var targets []events.Target
	for _, arg := range []string{"p/a@5", "p/b@3", "p/c", "p/d@1"} {
		target, err := events.ParseTarget(arg)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	got := satisfied(targets, []events.State{at("a", "4"), at("b", "3"), at("c", "1"), {Environment: "p", Database: "d"}})
	if len(got) != 2 || got[0].Database != "b" || got[1].Database != "c" {
		t.Errorf("%+v", got)
	}
}
