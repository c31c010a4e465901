package jetstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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

// A consumer delivers wherever its maker says, and what an event says of a schema reads like a state.
func TestAnEventThatIsDeliveredElsewhereIsNobodysState(t *testing.T) {
	s := runBare(t, withUsers(t,
		user{User: "admin", Password: "a", Permissions: granted(AdministratorPermissions("_INBOX_a"))},
		user{User: "publisher", Password: "p", Permissions: granted(ControllerPermissions("", "_INBOX_p"))},
		user{User: "observer", Password: "o", Permissions: granted(AuditorPermissions("prod", "_INBOX_o"))},
		user{User: "waiter", Password: "w", Permissions: granted(WaiterPermissions("prod", "_INBOX_w"))},
	))
	ensure(t, as(t, s, "admin"))
	p := publisher(t, as(t, s, "publisher"))
	e := events.Event{ID: "old", Environment: "prod", Database: "orders", Predicate: events.Succeeded, Time: time.Now(), Ready: &events.Ready{Version: "7"}}
	if err := p.PublishEvent(bounded(t), e, 0); err != nil {
		t.Fatal(err)
	}
	w := NewWaiter(as(t, s, "waiter"))
	w.reread = 20 * time.Millisecond
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("no proven"))
	auditor, err := jetstream.New(as(t, s, "observer"))
	if err != nil {
		t.Fatal(err)
	}
	for i, to := range []string{events.LiveSubject("prod", "orders", ""), events.StateSubject("prod", "orders", "")} {
		_, err := auditor.CreateOrUpdatePushConsumer(bounded(t), events.EventStream, jetstream.ConsumerConfig{
			Name: fmt.Sprint("elsewhere", i), DeliverSubject: to, FilterSubject: events.EventFilter("prod"), AckPolicy: jetstream.AckNonePolicy,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(20 * w.reread)
	select {
	case <-r.done:
		t.Fatalf("the wait ended with %+v, %v", r.states, r.err)
	default:
	}
	// It is not even stored: an event carries what its publisher expected of other subjects.
	if state, revision, err := p.State(bounded(t), "prod", "orders", ""); err != nil || revision != 0 {
		t.Errorf("the state is %+v at revision %d, %v", state, revision, err)
	}
}
