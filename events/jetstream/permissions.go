package jetstream

import "github.com/schemawave/schemawave/events"

// Permissions are the subjects that a NATS user must be allowed, and the only ones it needs.
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

// PublisherPermissions are enough to publish the states and events of one environment (empty: of all). Reading back goes
// by stream, so it sees the states of every environment.
func PublisherPermissions(environment, inbox string) Permissions {
	return Permissions{
		Publish: []string{
			events.StateFilter(environment), events.EventFilter(environment),
			lastSubject(events.StateStream), lastSubject(events.EventStream),
		},
		Subscribe: []string{inboxes(inbox)},
	}
}

// AdministratorPermissions are enough for Streams: to create, verify, list and follow.
func AdministratorPermissions(inbox string) Permissions {
	p := Permissions{Subscribe: []string{inboxes(inbox)}}
	for _, stream := range []string{events.StateStream, events.EventStream} {
		p.Publish = append(p.Publish,
			"$JS.API.STREAM.CREATE."+stream, "$JS.API.STREAM.INFO."+stream,
			"$JS.API.CONSUMER.CREATE."+stream+".>", "$JS.API.CONSUMER.DELETE."+stream+".>", "$JS.API.CONSUMER.INFO."+stream+".>",
			"$JS.API.CONSUMER.MSG.NEXT."+stream+".>")
	}
	return p
}

func inboxes(prefix string) string {
	if prefix == "" {
		prefix = "_INBOX"
	}
	return prefix + ".>"
}
