// Package events is the contract between Schemawave and the services that wait for a schema: subjects, messages, and the
// rule that says whether a schema is ready. It uses the standard library only; package jetstream speaks it over NATS.
//
// Two streams carry it. SCHEMA_STATE holds one message per database, the State, for ever: whoever comes late reads what is
// true now. SCHEMA_EVENTS holds what happened, the Events, for 90 days: audit and durable consumers. Each new State is
// also republished on a plain subject, so that waiting costs the server a subscription and no consumer.
//
// Only proven facts become Ready; a failed attempt stands beside the last good state and never erases it.
package events
