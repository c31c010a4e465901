package events

import (
	"fmt"
	"strings"
)

// The streams, and the subjects each of them stores.
const (
	StateStream = "SCHEMA_STATE"  // one message per database: what is true now
	EventStream = "SCHEMA_EVENTS" // what happened in the last 90 days

	AllStates = "schema.state.v1.>" // stored by StateStream
	AllLive   = "schema.live.v1.>"  // where StateStream republishes AllStates; stored nowhere
	AllEvents = "schema.event.v1.>" // stored by EventStream
)

// Kind is the second token of a subject.
type Kind string

// The kinds of subjects.
const (
	KindState Kind = "state" // a State, stored
	KindLive  Kind = "live"  // the same State, as it passes by
	KindEvent Kind = "event" // an Event, stored
)

// Subject is a parsed subject. Tenant is empty for a database without tenants, and for KindEvent, whose data names the
// tenant; Predicate is empty but for KindEvent.
type Subject struct {
	Kind                          Kind
	Environment, Database, Tenant string
	Predicate                     Predicate
}

// StateSubject is where the State of a database is stored: schema.state.v1.<environment>.<database>[.<tenant>].
func StateSubject(environment, database, tenant string) string {
	return Subject{Kind: KindState, Environment: environment, Database: database, Tenant: tenant}.String()
}

// LiveSubject is where each new State of a database passes by: schema.live.v1.<environment>.<database>[.<tenant>].
func LiveSubject(environment, database, tenant string) string {
	return Subject{Kind: KindLive, Environment: environment, Database: database, Tenant: tenant}.String()
}

// EventSubject is where an Event is stored: schema.event.v1.<environment>.<database>.<predicate>.
func EventSubject(environment, database string, predicate Predicate) string {
	return Subject{Kind: KindEvent, Environment: environment, Database: database, Predicate: predicate}.String()
}

// StateFilter matches the state subjects of one environment; the empty environment means all of them.
func StateFilter(environment string) string { return filter(AllStates, environment) }

// LiveFilter matches the live subjects of one environment; the empty environment means all of them.
func LiveFilter(environment string) string { return filter(AllLive, environment) }

// EventFilter matches the event subjects of one environment; the empty environment means all of them.
func EventFilter(environment string) string { return filter(AllEvents, environment) }

// DatabaseEventFilter matches the event subjects of one database.
func DatabaseEventFilter(environment, database string) string {
	return strings.TrimSuffix(AllEvents, ">") + encodeToken(environment) + "." + encodeToken(database) + ".*"
}

func filter(all, environment string) string {
	if environment == "" {
		return all
	}
	return strings.TrimSuffix(all, ">") + encodeToken(environment) + ".>"
}

// String is the subject as NATS carries it.
func (s Subject) String() string {
	t := "schema." + string(s.Kind) + ".v1." + encodeToken(s.Environment) + "." + encodeToken(s.Database)
	switch {
	case s.Kind == KindEvent:
		t += "." + encodeToken(string(s.Predicate))
	case s.Tenant != "":
		t += "." + encodeToken(s.Tenant)
	}
	return t
}

// ParseSubject is the inverse of Subject.String, and refuses every spelling that String would not give.
func ParseSubject(subject string) (Subject, error) {
	t := strings.Split(subject, ".")
	if len(t) < 5 || t[0] != "schema" || t[2] != "v1" {
		return Subject{}, fmt.Errorf("subject %q: want schema.<state|live|event>.v1.<environment>.<database>…", subject)
	}
	names := make([]string, len(t)-3)
	for i := range names {
		name, err := decodeToken(t[i+3])
		if err != nil {
			return Subject{}, fmt.Errorf("subject %q: %w", subject, err)
		}
		names[i] = name
	}
	s := Subject{Kind: Kind(t[1]), Environment: names[0], Database: names[1]}
	switch {
	case s.Kind == KindEvent && len(names) == 3:
		s.Predicate = Predicate(names[2])
	case (s.Kind == KindState || s.Kind == KindLive) && len(names) == 2:
	case (s.Kind == KindState || s.Kind == KindLive) && len(names) == 3 && names[2] != "":
		s.Tenant = names[2]
	default:
		return Subject{}, fmt.Errorf("subject %q: want schema.<state|live>.v1.<environment>.<database>[.<tenant>] or schema.event.v1.<environment>.<database>.<predicate>", subject)
	}
	return s, nil
}
