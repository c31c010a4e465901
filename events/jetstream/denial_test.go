package jetstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// guarded runs a server whose users have exactly the permissions that this package publishes.
func guarded(t *testing.T) *natstest.Server {
	return runBare(t, withUsers(t,
		user{User: "admin", Password: "a", Permissions: granted(AdministratorPermissions("_INBOX_a"))},
		user{User: "publisher", Password: "p", Permissions: granted(ControllerPermissions("prod", "_INBOX_p"))},
		user{User: "waiter", Password: "w", Permissions: granted(WaiterPermissions("prod", "_INBOX_w"))},
		user{User: "deaf", Password: "d", Permissions: granted(WaiterPermissions("prod", "_INBOX_x"))},
	))
}

func as(t *testing.T, s *natstest.Server, name string) *nats.Conn {
	t.Helper()
	return dialURL(t, Options{URL: strings.Replace(s.URL(), "//", "//"+name+":"+name[:1]+"@", 1), InboxPrefix: "_INBOX_" + name[:1]})
}

func refused(t *testing.T, err error, action, subject string) {
	t.Helper()
	var denied *DeniedError
	if !errors.As(err, &denied) || denied.Action != action || denied.Subject != subject {
		t.Errorf("got %v, want a denial to %s %s", err, action, subject)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is taken for a timeout", err)
	}
}

func TestTheDocumentedPermissionsAreEnough(t *testing.T) {
	s := guarded(t)
	streams := ensure(t, as(t, s, "admin"))
	p := publisher(t, as(t, s, "publisher"))
	w := NewWaiter(as(t, s, "waiter"))
	r := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	r.told(contains("no proven"))
	publish(t, p, "prod", "7", at("7"))
	released(t, r, "7")
	if err := p.PublishEvent(bounded(t), events.Event{Environment: "prod", Database: "orders", Predicate: events.Succeeded}, 1); err != nil {
		t.Error(err)
	}
	if states, err := streams.States(bounded(t), ""); err != nil || len(states) != 1 {
		t.Errorf("states: %v, %v", states, err)
	}
	if differences, err := streams.Verify(bounded(t), StreamOptions{}); err != nil || len(differences) > 0 {
		t.Errorf("verify: %v, %v", differences, err)
	}
}

// An auditor cannot remove the consumers that it leaves behind, and needs not: it goes on with another one.
func TestAnAuditorFollowsThroughARestart(t *testing.T) {
	t.Parallel()
	s := runBare(t, withUsers(t,
		user{User: "admin", Password: "a", Permissions: granted(AdministratorPermissions("_INBOX_a"))},
		user{User: "publisher", Password: "p", Permissions: granted(ControllerPermissions("", "_INBOX_p"))},
		user{User: "observer", Password: "o", Permissions: granted(AuditorPermissions("prod", "_INBOX_o"))},
	))
	streams := ensure(t, as(t, s, "admin"))
	p := publisher(t, as(t, s, "publisher"))
	auditor, err := NewStreams(as(t, s, "observer"))
	if err != nil {
		t.Fatal(err)
	}
	tell := func(id string) {
		t.Helper()
		e := events.Event{ID: id, Environment: "prod", Database: "orders", Predicate: events.Succeeded, Time: time.Now()}
		if err := p.PublishEvent(bounded(t), e, 0); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(bounded(t))
	heard, done := make(chan string, 10), make(chan error, 1)
	go func() {
		done <- auditor.Follow(ctx, "prod", time.Now(), func(e events.Event, err error) { heard <- e.ID })
	}()
	awaitConsumer(t, streams)
	for i := range 3 {
		tell(fmt.Sprint(i))
		select {
		case got := <-heard:
			if got != fmt.Sprint(i) {
				t.Errorf("heard %s, want %d", got, i)
			}
		case err := <-done:
			t.Fatalf("ended with %v", err)
		case <-time.After(patience):
			t.Fatal("nothing is heard")
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-done
}

func TestADeniedWaitIsToldSo(t *testing.T) {
	s := guarded(t)
	ensure(t, as(t, s, "admin"))
	// The wait for staging is refused at both subjects; it subscribes first.
	_, err := wait(t, bounded(t), NewWaiter(as(t, s, "waiter")), Query{Targets: []events.Target{orders("prod", "7"), orders("staging", "7")}}).over()
	refused(t, err, "subscribe to", "schema.live.v1.staging.orders")
	if err == nil || !strings.Contains(err.Error(), "grant it to this user") {
		t.Errorf("%v gives no remedy", err)
	}
	// A user that cannot receive answers.
	_, err = wait(t, bounded(t), NewWaiter(as(t, s, "deaf")), Query{Targets: []events.Target{orders("prod", "7")}}).over()
	var denied *DeniedError
	if !errors.As(err, &denied) || !strings.HasPrefix(denied.Subject, "_INBOX_d.") {
		t.Errorf("got %v, want a denial to subscribe to _INBOX_d.…", err)
	}
}

// Two waits on one connection: the refusal of one leaves the other alone.
func TestADenialConcernsItsOwnWait(t *testing.T) {
	s := guarded(t)
	ensure(t, as(t, s, "admin"))
	w := NewWaiter(as(t, s, "waiter"))
	good := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("prod", "7")}})
	good.told(contains("no proven"))
	_, err := wait(t, bounded(t), w, Query{Targets: []events.Target{orders("staging", "7")}}).over()
	refused(t, err, "subscribe to", "schema.live.v1.staging.orders")
	publish(t, publisher(t, as(t, s, "publisher")), "prod", "7", at("7"))
	released(t, good, "7")
}

func TestADeniedReadIsToldSo(t *testing.T) {
	only := WaiterPermissions("prod", "_INBOX_w")
	only.Subscribe = append(only.Subscribe, events.LiveFilter("staging"))
	s := runBare(t, withUsers(t, user{User: "waiter", Password: "w", Permissions: granted(only)}))
	_, err := wait(t, bounded(t), NewWaiter(as(t, s, "waiter")), Query{Targets: []events.Target{orders("staging", "7")}}).over()
	refused(t, err, "publish to", "$JS.API.DIRECT.GET.SCHEMA_STATE.schema.state.v1.staging.orders")
}

func TestADeniedPublisherAndAdministratorAreToldSo(t *testing.T) {
	s := guarded(t)
	ensure(t, as(t, s, "admin"))
	p := publisher(t, as(t, s, "publisher"))
	_, err := p.PublishState(bounded(t), events.State{Environment: "staging", Database: "orders"}, 0, "x")
	refused(t, err, "publish to", "schema.state.v1.staging.orders")
	err = p.PublishEvent(bounded(t), events.Event{Environment: "staging", Database: "orders", Predicate: events.Failed}, 0)
	refused(t, err, "publish to", "schema.event.v1.staging.orders.failed")
	_, _, err = publisher(t, as(t, s, "waiter")).State(bounded(t), "prod", "orders", "")
	refused(t, err, "publish to", "$JS.API.STREAM.MSG.GET.SCHEMA_STATE")
	streams, err := NewStreams(as(t, s, "waiter"))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, streams.Ensure(bounded(t), StreamOptions{}), "publish to", "$JS.API.STREAM.INFO.SCHEMA_STATE")
	_, err = streams.Verify(bounded(t), StreamOptions{})
	refused(t, err, "publish to", "$JS.API.STREAM.INFO.SCHEMA_STATE")
}

func TestWrongCredentialsAreADenial(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	url := strings.Replace(s.URL(), "//", "//waiter:hunter2@", 1)
	_, err := Connect(bounded(t), Options{URL: url})
	refused(t, err, "connect", "")
	for _, text := range []string{"hunter2", "waiter:"} {
		if err != nil && strings.Contains(err.Error(), text) {
			t.Errorf("%q holds %q", err, text)
		}
	}
	// A connection that retries gives up on them too, when the server has said so twice.
	nc := dialURL(t, Options{URL: url, Retry: true})
	_, err = wait(t, bounded(t), NewWaiter(nc), Query{Targets: []events.Target{orders("prod", "7")}}).over()
	refused(t, err, "connect", "")
}

// A server that refuses the credentials of a connection again and again may take them in the end: who persists is connected then.
func TestRefusedCredentialsArePutRight(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "nats.conf")
	password := func(p string) {
		t.Helper()
		if err := os.WriteFile(config, []byte("authorization: {user: controller, password: "+p+"}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	password("hunter2")
	s := runBare(t, natstest.Options{Config: config})
	nc := dialURL(t, Options{URL: strings.Replace(s.URL(), "//", "//controller:hunter2@", 1), Retry: true, Persist: true})
	refusals, before := make(chan struct{}, 100), nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrAuthorization) {
			refusals <- struct{}{}
		}
		before(nc, sub, err)
	})
	ensure(t, nc)
	password("another")
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		select {
		case <-refusals:
		case <-time.After(patience):
			t.Fatalf("the connection is %s: %v", nc.Status(), nc.LastError())
		}
	}
	password("hunter2")
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	ensure(t, nc)
}
