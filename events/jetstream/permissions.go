package jetstream

import (
	"strings"

	"github.com/schemawave/schemawave/events"
)

// Permissions are the subjects that a NATS user must be allowed, and the only ones it needs. Their JSON is what a server's
// configuration has as a user's permissions.
//
// They say what a user may ask of a server, not where the server sends the answer, nor where a consumer delivers: a server does
// not check that. Environments that must be safe from each other, whatever their users do, need an account each.
type Permissions struct {
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`
}

// WaiterPermissions are enough to wait for the schemas of one environment (empty: of all). inbox is the user's inbox
// prefix, as in Options; a user with a prefix of its own cannot overhear the answers to others.
func WaiterPermissions(environment, inbox string) Permissions {
	return Permissions{
		Publish:   []string{directSubject(events.StateStream, events.StateFilter(environment))},
		Subscribe: []string{inboxes(inbox), events.LiveFilter(environment)},
	}
}

// ControllerPermissions are enough for a Publisher of the states and events of one environment (empty: of all), and for
// Streams.Ensure. Reading back goes by stream, so it sees the states of every environment.
func ControllerPermissions(environment, inbox string) Permissions {
	p := Permissions{
		Publish:   []string{events.StateFilter(environment), events.EventFilter(environment)},
		Subscribe: []string{inboxes(inbox)},
	}
	for _, stream := range []string{events.StateStream, events.EventStream} {
		p.Publish = append(p.Publish, lastSubject(stream), "$JS.API.STREAM.CREATE."+stream, "$JS.API.STREAM.INFO."+stream)
	}
	return p
}

// AuditorPermissions are enough for Streams.States, Events and Follow of one environment (empty: of all). They let it make
// consumers, which the server removes by itself, and delete nothing.
func AuditorPermissions(environment, inbox string) Permissions {
	return Permissions{
		Publish: []string{
			"$JS.API.CONSUMER.CREATE." + events.StateStream + ".*." + events.StateFilter(environment),
			"$JS.API.CONSUMER.MSG.NEXT." + events.StateStream + ".*",
			"$JS.API.CONSUMER.CREATE." + events.EventStream + ".*." + events.EventFilter(environment),
			"$JS.API.CONSUMER.MSG.NEXT." + events.EventStream + ".*",
		},
		Subscribe: []string{inboxes(inbox)},
	}
}

// AdministratorPermissions are enough for all of Streams: to create, verify, migrate, list and follow.
func AdministratorPermissions(inbox string) Permissions {
	p := AuditorPermissions("", inbox)
	for _, stream := range []string{events.StateStream, events.EventStream} {
		p.Publish = append(p.Publish, "$JS.API.STREAM.CREATE."+stream, "$JS.API.STREAM.UPDATE."+stream, "$JS.API.STREAM.INFO."+stream)
	}
	return p
}

func inboxes(prefix string) string {
	if prefix == "" {
		prefix = "_INBOX"
	}
	return strings.TrimSuffix(prefix, ".") + ".>"
}
