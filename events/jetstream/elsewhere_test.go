package jetstream

import (
	"testing"
	"time"

	"github.com/schemawave/schemawave/events"
)

// A server sends its answers wherever a request says, whoever may publish there. So a user who may read one environment can have
// the state of that environment, or the news that there is none, sent to the subjects of another.
func TestAnAnswerThatIsSentElsewhereIsNobodysState(t *testing.T) {
	s := runBare(t, withUsers(t,
		user{User: "admin", Password: "a", Permissions: granted(AdministratorPermissions("_INBOX_a"))},
		user{User: "publisher", Password: "p", Permissions: granted(ControllerPermissions("", "_INBOX_p"))},
		user{User: "waiter", Password: "w", Permissions: granted(WaiterPermissions("staging", "_INBOX_w"))},
		user{User: "victim", Password: "v", Permissions: granted(WaiterPermissions("prod", "_INBOX_v"))},
	))
	ensure(t, as(t, s, "admin"))
	p := publisher(t, as(t, s, "publisher"))
	publish(t, p, "staging", "7", at("7"))
	send := func(database, to string) {
		t.Helper()
		if err := as(t, s, "waiter").PublishRequest(directSubject(events.StateStream, events.StateSubject("staging", database, "")), to, nil); err != nil {
			t.Fatal(err)
		}
	}
	r := wait(t, bounded(t), NewWaiter(as(t, s, "victim")), Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("no proven"))

	live := events.LiveSubject("prod", "orders", "")
	send("orders", live)
	publish(t, p, "prod", "6", at("6"))
	r.told(contains("is at 6"))

	// The empty answer is even stored. It takes nothing from whoever knows the state, and the next publish mends it.
	send("none", events.StateSubject("prod", "orders", ""))
	eventually(t, func() bool {
		state, revision, err := p.State(bounded(t), "prod", "orders", "")
		return err == nil && revision == 3 && state.Ready == nil
	})
	publish(t, p, "prod", "7 again", at("7"))
	released(t, r, "7")
}

func eventually(t *testing.T, so func() bool) {
	t.Helper()
	for ctx := bounded(t); !so(); sleep(ctx, 5*time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatal("it does not come about")
		}
	}
}
