package events

import _ "embed" // the schemas

//go:embed state.schema.json
var stateSchema string

//go:embed event.schema.json
var eventSchema string

// StateSchema is the JSON Schema (draft 2020-12) of a State message's data. Fields may be added to it; readers ignore what
// they do not know. A change that would break a reader gets new subjects, of v2.
func StateSchema() string { return stateSchema }

// EventSchema is the JSON Schema (draft 2020-12) of an Event message's data, under the same promise as StateSchema.
func EventSchema() string { return eventSchema }
