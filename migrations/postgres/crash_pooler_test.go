package postgres_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/schemawave/schemawave/migrations"
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
	{"overtaken", []moment{beforeClient, afterClient}, [2]int{23, 1}, func(c *crash, r *relay) { // taken for dead, it wakes up when another has done its work
		if r.mu.Lock(); bytes.Contains(r.last, []byte(entered)) { // its clock tells that the term is over, and it is not; see TestNothingIsSentWhenTheTermIsOver
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		c.runner.Process.Signal(syscall.SIGSTOP)
		c.plainRun()
		c.runner.Process.Signal(syscall.SIGCONT)
	}},
}

// entered is in the message after which a statement outside a transaction is sent.
const entered = `INSERT INTO "schemawave"."statement"`

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

// A runner that is stopped just before it sends a statement outside a transaction, and wakes up after its lease's term, when
// another runner has done all its work, does not send it.
func TestNothingIsSentWhenTheTermIsOver(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := files("1_d.sql", setup, "2_i.sql", "CREATE INDEX CONCURRENTLY i ON d (v)", "3_i.sql", "DROP INDEX CONCURRENTLY i").(fstest.MapFS)
	url := freshURL(t)
	b := &crashBench{set: load(t, dir), root: onDisk(t, dir), pooler: pooler(t, poolers()["drops settings"])}
	var runner *exec.Cmd
	started := make(chan struct{})
	proxy := startCrashProxy(t, b.front(t), moment{after: true, text: entered}, false, func(*relay) {
		<-started
		runner.Process.Signal(syscall.SIGSTOP)
		eventually(t, url, "SELECT expires < now() FROM schemawave.lease", "t")
		migrate(t, config(t, b.pooler.URL(databaseName(t, url))), b.set)
		runner.Process.Signal(syscall.SIGCONT)
	})
	defer proxy.stop()
	runner = runnerProcess(t, b.way(t, url, proxy.address()), b.root)
	err := runner.Start()
	close(started)
	if err != nil {
		t.Fatal(err)
	}
	runner.Wait() //nolint:errcheck // its exit code tells
	if code := runner.ProcessState.ExitCode(); code != int(migrations.ExitBusy) {
		t.Errorf("exit %d", code)
	}
	if got := valid(t, url); got != "" {
		t.Errorf("indexes: %s", got)
	}
}

// expireLease ends a lease's term, if there is a ledger and it is held.
func expireLease(t *testing.T, db string) {
	if query(t, db, "SELECT to_regclass('schemawave.lease')")[0] != "" {
		query(t, db, "UPDATE schemawave.lease SET expires = now() - interval '1 second' WHERE expires > '-infinity'")
	}
}
