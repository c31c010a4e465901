// Package controller watches Argo CD Applications and the Jobs of migrations, decides what they prove about the schema of
// each database, and publishes that.
//
// It has two layers. The outer one, Controller, reads the cluster through caches, publishes, deletes what is superseded
// and tells people. The inner one, decide, is a pure function from an observation to a decision; it reads neither a clock
// nor a client, and all that is said about a schema is said there.
//
// What is decided depends on what is there now: a watch only wakes. Nothing is kept but what the world no longer shows
// when it is looked at, the results that Argo CD has overwritten and the Jobs that are gone (see captures). A finished Job
// is the outbox of its own result: it stays until its result is acknowledged and superseded, so that a controller that was
// away, or could not publish, catches up by looking.
//
// Invariants: nothing is called ready without proof, a failure never erases what was ready, a version goes down only on
// the word of a report, and what is in doubt is not said.
package controller
