package postgres_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// pooledCrashKinds are the ways a run through a pooler is disturbed. Nobody waits for the term of its lease: it is over at once,
// as if the server had been at the runner's last statement for longer.
var pooledCrashKinds = []crashKind{
	{"kill", []moment{beforeClient, beforeServer}, [2]int{13, 139}, func(c *crash, r *relay) {
		c.runner.Process.Kill()
		r.swallow()
	}},
	{"kill, all it sent delivered", []moment{afterClient}, [2]int{13, 1}, func(c *crash, _ *relay) { c.runner.Process.Kill() }},
	{"cut", anyMoment, [2]int{29, 211}, func(_ *crash, r *relay) { cut(r) }},
	{"server sessions ended", []moment{afterClient, beforeServer}, [2]int{23, 167}, func(c *crash, _ *relay) {
		query(c.t, server.URL("postgres"), fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'", databaseName(c.t, c.db)))
	}},
	{"overtaken", []moment{beforeClient, afterClient}, [2]int{23, 1}, func(c *crash, _ *relay) { // taken for dead, it wakes up when another has done its work
		c.runner.Process.Signal(syscall.SIGSTOP)
		c.plainRun()
		c.runner.Process.Signal(syscall.SIGCONT)
	}},
}

// At a sample of the messages between a run and a pooler, spread over the whole conversation, a run is disturbed as in
// TestCrashAnywhere, and a plain run through the pooler completes the work.
func TestCrashThroughAPooler(t *testing.T) {
	dir := crashFiles()
	dir["0011_mixed.sql"].Data = []byte(strings.Replace(string(dir["0011_mixed.sql"].Data), "SET work_mem TO '5MB';\n", "", 1)) // refused there
	bench := &crashBench{set: load(t, dir), root: onDisk(t, dir), pooler: pooler(t, poolers()["drops settings"])}
	if total := bench.crashAnywhere(t, pooledCrashKinds); total < 50 {
		t.Errorf("only %d points", total)
	}
}

// expireLease ends a lease's term, if there is a ledger.
func expireLease(t *testing.T, db string) {
	if query(t, db, "SELECT to_regclass('schemawave.lease')")[0] != "" {
		query(t, db, "UPDATE schemawave.lease SET expires = '-infinity'")
	}
}
