package postgres_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// crashKind is a way to disturb a run.
type crashKind struct {
	name    string
	moments []moment // without their numbers
	every   [2]int   // one message in so many: of the client's, of the server's
	act     func(*crash, *relay)
}

// crash is one disturbed run.
type crash struct {
	*crashBench
	t      *testing.T
	kind   crashKind
	at     moment
	again  bool   // on every connection
	db     string // URL of the database
	runner *exec.Cmd
}

// crashBench is what all points share.
type crashBench struct {
	set    migrations.Set
	root   string // of the files
	want   []string
	schema string               // as pg_dump sees it
	pooler *postgrestest.Pooler // between the runners and the server; nil if there is none
}

var (
	beforeClient = moment{}
	afterClient  = moment{after: true}
	beforeServer = moment{fromServer: true}
	anyMoment    = []moment{beforeClient, afterClient, beforeServer}
)

// crashKinds are the ways a run is disturbed.
var crashKinds = []crashKind{
	{"kill", []moment{beforeClient, beforeServer}, [2]int{1, 3}, func(c *crash, r *relay) { // what was not passed on is lost
		c.runner.Process.Kill()
		r.swallow()
	}},
	{"kill, all it sent delivered", []moment{afterClient}, [2]int{1, 1}, func(c *crash, _ *relay) { c.runner.Process.Kill() }},
	{"cut", anyMoment, [2]int{3, 11}, func(_ *crash, r *relay) { cut(r) }},
	{"half cut", anyMoment, [2]int{5, 17}, func(_ *crash, r *relay) { halfCut(r) }},
	{"terminate", anyMoment, [2]int{3, 11}, func(c *crash, r *relay) { c.signal(r, "pg_terminate_backend") }},
	{"cancel", anyMoment, [2]int{3, 11}, func(c *crash, r *relay) { c.signal(r, "pg_cancel_backend") }},
	{"stop", anyMoment, [2]int{13, 61}, func(c *crash, _ *relay) {
		c.runner.Process.Signal(syscall.SIGSTOP)
		time.Sleep(2 * time.Second)
		c.runner.Process.Signal(syscall.SIGCONT)
	}},
	{"overtaken", anyMoment, [2]int{5, 17}, func(c *crash, r *relay) { // taken for dead, it wakes up when another has done its work
		c.runner.Process.Signal(syscall.SIGSTOP)
		c.signal(r, "pg_terminate_backend")
		c.plainRun()
		c.runner.Process.Signal(syscall.SIGCONT)
	}},
}

// cut ends both sides of a connection abruptly.
func cut(r *relay) {
	r.swallow()
	reset(r.client)
	reset(r.server)
}

// halfCut leaves the server with a connection that has no other end. Where a socket cannot be forgotten in silence, its end
// comes a second later.
func halfCut(r *relay) {
	r.swallow()
	reset(r.client)
	if !vanish(r.server) {
		time.Sleep(time.Second)
		reset(r.server)
	}
}

// signal has the server process ended or interrupted by one of the server's functions for it, unless it is not known yet.
func (c *crash) signal(r *relay, function string) {
	r.mu.Lock()
	pid := r.pid
	r.mu.Unlock()
	if pid != 0 {
		query(c.t, server.URL("postgres"), fmt.Sprintf("SELECT %s(%d)", function, pid))
	}
}

// plainRun is what anybody does after a failure: run it again.
func (c *crash) plainRun() {
	cfg := config(c.t, c.db)
	if c.pooler != nil {
		cfg = config(c.t, c.pooler.URL(databaseName(c.t, c.db)))
		expireLease(c.t, c.db)
	}
	cfg.Deadline = time.Minute
	if _, err := postgres.Migrate(c.t.Context(), cfg, c.set); err != nil {
		c.t.Errorf("%s: plain run: %v", c, err)
	}
}

func (c *crash) String() string {
	side, when := "client", "before"
	if c.at.fromServer {
		side = "server"
	}
	if c.at.after {
		when = "after"
	}
	return fmt.Sprintf("%s %s message %d of the %s", c.kind.name, when, c.at.number, side)
}

// front is the address that runners connect to, but for a proxy, and way the URL by which they do.
func (b *crashBench) front(t *testing.T) string {
	if b.pooler == nil {
		return server.Address()
	}
	u, err := url.Parse(b.pooler.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func (b *crashBench) way(t *testing.T, db, proxy string) string {
	if b.pooler == nil {
		return through(t, db, proxy)
	}
	return strings.Replace(b.pooler.URL(databaseName(t, db)), b.front(t), proxy, 1)
}

// through is a database's URL by way of a proxy, with checks of dead connections that end within seconds.
func through(t *testing.T, db, proxy string) string {
	t.Helper()
	u, err := url.Parse(db)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = proxy
	q := u.Query()
	for name, value := range map[string]string{"tcp_keepalives_idle": "1", "tcp_keepalives_interval": "1", "client_connection_check_interval": "200"} {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// run disturbs one run and checks what a plain one leaves after it. It reports whether the moment came, and whether the
// disturbed run succeeded by itself.
func (c *crash) run() (came, succeeded bool) {
	started := make(chan struct{})
	proxy := startCrashProxy(c.t, c.front(c.t), c.at, c.again, func(r *relay) {
		<-started
		c.kind.act(c, r)
	})
	defer proxy.stop()
	c.runner = runnerProcess(c.t, c.way(c.t, c.db, proxy.address()), c.root)
	var out strings.Builder
	c.runner.Stderr = &out
	err := c.runner.Start()
	close(started)
	if err != nil {
		c.t.Fatal(err)
	}
	c.runner.Wait() //nolint:errcheck // its exit code is looked at below
	code := c.runner.ProcessState.ExitCode()
	if code > 0 && migrations.ExitCode(code).Permanent() {
		c.t.Errorf("%s: exit %d: %s", c, code, out.String())
	}
	c.plainRun()
	eventually(c.t, c.db, c.others(), "0")
	if d := differences(c.want, endState(c.t, c.db)); d != "" {
		c.t.Errorf("%s:\n%s(%s)", c, d, out.String())
	}
	if c.at.number%50 == 0 && dump(c.t, c.db) != c.schema {
		c.t.Errorf("%s: pg_dump sees a difference", c)
	}
	_, _, came = proxy.counts()
	return came, code == 0
}

const othersSQL = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"

// others counts the sessions in the database; of a pooler's, those that do something.
func (b *crashBench) others() string {
	if b.pooler != nil {
		return othersSQL + " AND state <> 'idle'"
	}
	return othersSQL
}

func dropDatabase(t *testing.T, db string) {
	query(t, server.URL("postgres"), "DROP DATABASE "+databaseName(t, db)+" WITH (FORCE)")
}

// emptySQL drops what is in schema public, and the ledger, and lists what a new database would not have: object ids from
// 16384 on are those of what was made since initdb (PostgreSQL, "OIDs").
const emptySQL = `DROP SCHEMA IF EXISTS schemawave CASCADE;
DO $$ DECLARE o record; BEGIN
	FOR o IN SELECT i.type, i.identity FROM pg_depend, pg_identify_object(classid, objid, 0) i WHERE refclassid = 'pg_namespace'::regclass AND refobjid = 'public'::regnamespace AND identity IS NOT NULL LOOP
		EXECUTE format('DROP %s IF EXISTS %s CASCADE', o.type, o.identity);
	END LOOP;
END $$;
SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend WHERE objid >= 16384 UNION ALL SELECT nspname FROM pg_namespace WHERE oid >= 16384`

// emptyDatabase makes a database as a new one, at a fraction of the cost: a new one is 300 files.
func emptyDatabase(t *testing.T, db string) {
	if left := query(t, db, emptySQL); len(left) != 0 {
		t.Fatalf("not empty: %q", left)
	}
}

// At whatever message of the conversation a run is killed, cut off, terminated, cancelled, stopped or overtaken, a plain run
// completes the work, and nothing is missing, there twice or left over.
//
// Of the kinds that cost more time, a fixed part of the messages is tried; with the variable everyPoint set, all of them.
func TestCrashAnywhere(t *testing.T) {
	bench := &crashBench{set: load(t, crashFiles()), root: onDisk(t, crashFiles())}
	if total := bench.crashAnywhere(t, crashKinds); total < 500 {
		t.Errorf("only %d points", total)
	}
	if !slices.Contains(bench.want, "executed 11b 5MB 1") {
		t.Error("a file's settings were not in force")
	}
}

// crashAnywhere tries all points of all kinds, and returns their number.
func (b *crashBench) crashAnywhere(t *testing.T, kinds []crashKind) (total int) {
	fromClient, fromServer := b.undisturbed(t)
	t.Logf("%d messages from the client, %d from the server", fromClient, fromServer)
	for k, kind := range kinds {
		began := time.Now()
		points := kind.points(k, fromClient, fromServer)
		came, succeeded := b.runAll(t, kind, points)
		total += came
		t.Logf("%s: %d of %d points, %d carried on by themselves, %v", kind.name, came, len(points), succeeded, time.Since(began).Round(time.Millisecond))
		if came < len(points)*9/10 {
			t.Errorf("%s: only %d of %d moments came", kind.name, came, len(points))
		}
	}
	t.Logf("%d points", total)
	return total
}

// undisturbed runs to know how many messages there are and what the end must look like.
func (b *crashBench) undisturbed(t *testing.T) (fromClient, fromServer int) {
	t.Helper()
	url := freshURL(t)
	proxy := startCrashProxy(t, b.front(t), moment{}, false, nil)
	if out, err := runnerProcess(t, b.way(t, url, proxy.address()), b.root).CombinedOutput(); err != nil {
		t.Fatalf("undisturbed: %v: %s", err, out)
	}
	fromClient, fromServer, _ = proxy.counts()
	proxy.stop()
	eventually(t, url, b.others(), "0")
	b.want, b.schema = endState(t, url), dump(t, url)
	for _, line := range []string{"executed 11a 1", "executed 11c 1", "executed 22 1", "filled 1,2,3,100", "label status 3 returned", "locks 0"} {
		if !slices.Contains(b.want, line) {
			t.Fatalf("undisturbed: no line %q:\n%s", line, strings.Join(b.want, "\n"))
		}
	}
	return fromClient, fromServer
}

// everyPoint names the variable that has every message tried in every way.
const everyPoint = "SCHEMAWAVE_TEST_EVERY_POINT"

// points are the moments at which the k-th kind is tried. The first message differs from kind to kind, so that together
// they meet more of them.
func (kind crashKind) points(k, fromClient, fromServer int) []moment {
	var points []moment
	for _, m := range kind.moments {
		n, every := fromClient, kind.every[0]
		if m.fromServer {
			n, every = fromServer, kind.every[1]
		}
		if os.Getenv(everyPoint) != "" {
			every = 1
		}
		for i := 1 + k%every; i <= n; i += every {
			points = append(points, moment{fromServer: m.fromServer, number: i, after: m.after})
		}
	}
	return points
}

// runAll runs the points of a kind, some at once, each in an empty database, and returns at how many the moment came, and how
// many of these runs succeeded by themselves.
func (b *crashBench) runAll(t *testing.T, kind crashKind, points []moment) (came, succeeded int) {
	const atOnce = 6
	queue := make(chan moment, len(points))
	for _, p := range points {
		queue <- p
	}
	close(queue)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range atOnce {
		wg.Go(func() {
			db := freshURL(t)
			defer dropDatabase(t, db)
			for at := range queue {
				c := &crash{crashBench: b, t: t, kind: kind, at: at, db: db}
				there, well := c.run()
				emptyDatabase(t, db)
				mu.Lock()
				if there {
					came++
				}
				if there && well {
					succeeded++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return came, succeeded
}
