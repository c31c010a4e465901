// Package jetstream speaks the contract of package events over NATS JetStream.
//
// A Publisher writes states and events, each fact exactly once; a Waiter waits for a schema; Streams creates, verifies,
// migrates and reads the two streams. All three work on a connection that Connect made or that the caller already has.
//
// Waiting is made to be cheap for the server and to need few rights: a plain subscription on the live subject and a direct
// get of the state. It creates no consumer, asks for no stream information, and trusts no silence: the state is read again
// on a timer and after every reconnect. Nothing here ever creates a stream but Streams.Ensure and
// Migrate, and nothing but Migrate changes one.
package jetstream
