package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// A run whose connection breaks just when its end is recorded succeeds all the same, and its entry in the list of runs says so.
func TestTheEndOfARunIsRecordedAfterTheConnectionBroke(t *testing.T) {
	for name, after := range map[string]bool{"not sent": false, "sent and not acknowledged": true} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			broken := false
			w := &wire{breakAfter: after, breakAt: func(b []byte) bool {
				now := !broken && bytes.Contains(b, []byte(`"run" SET finished`))
				broken = broken || now
				return now
			}}
			w.tap(&cfg)
			migrate(t, cfg, load(t, numbered(3)))
			if !broken {
				t.Fatal("the connection did not break")
			}
			if got := query(t, url, "SELECT outcome, finished IS NOT NULL, count(duration) FROM schemawave.run JOIN schemawave.migration m ON m.run = id GROUP BY 1, 2"); len(got) != 1 || got[0] != "succeeded|t|3" {
				t.Errorf("runs: %v", got)
			}
		})
	}
}

// A run that is killed leaves its entry open. The next one that has something to do closes it; those of another tenant, which may be
// under way, it leaves alone.
func TestARunThatWasKilledIsLost(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	cfg.Retries = -1
	w := &wire{breakAt: func(b []byte) bool { return bytes.Contains(b, []byte("CREATE TABLE t2")) }}
	broken := cfg
	broken.Conn = cfg.Conn.Copy()
	w.tap(&broken)
	report, err := postgres.Migrate(t.Context(), broken, load(t, numbered(2)))
	if err == nil {
		t.Fatal("the connection did not break")
	}
	query(t, url, "INSERT INTO schemawave.run (id, tenant, digest, job, pod, tool) SELECT gen_random_uuid(), 'another', '', '', '', ''")
	next := migrate(t, cfg, load(t, numbered(2)))
	got := query(t, url, "SELECT tenant, CASE tenant WHEN '' THEN id::text END, outcome, finished IS NOT NULL FROM schemawave.run ORDER BY started")
	if !slices.Equal(got, []string{"|" + report.Run + "|lost|t", "another|||f", "|" + next.Run + "|succeeded|t"}) {
		t.Errorf("runs: %q", got)
	}
}

// A run whose connection breaks while its last migration is under way may have applied it and not heard of it. The next
// connection finds nothing to do; the run has succeeded all the same, and says what it applied.
func TestARunThatDidNotHearOfACommitTellsWhatItApplied(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	dials := 0
	cfg.Conn.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, c net.Conn) (net.Conn, error) {
		if dials++; dials > 1 {
			return c, nil
		}
		return &deaf{Conn: c, after: []byte("/* schemawave: "), broken: make(chan struct{}), until: func() bool {
			return query(t, url, "SELECT count(*) FROM schemawave.migration")[0] == "2" // with the root row
		}}, nil
	}
	report := migrate(t, cfg, load(t, numbered(1)))
	if dials != 2 {
		t.Fatalf("%d connections", dials)
	}
	if report.Outcome != migrations.OutcomeSucceeded || report.Count != 1 || report.From != "" || report.To != "1" {
		t.Errorf("report: %+v", report)
	}
	if got := query(t, url, "SELECT outcome, finished IS NOT NULL FROM schemawave.run"); len(got) != 1 || got[0] != "succeeded|t" {
		t.Errorf("runs: %v", got)
	}
}

// deaf is a connection that, after something was written, lets through nothing that the server says, and then breaks.
type deaf struct {
	net.Conn
	after  []byte
	until  func() bool // asked again and again: whether it breaks now
	now    atomic.Bool
	broken chan struct{}
}

func (d *deaf) Write(b []byte) (int, error) {
	if !bytes.Contains(b, d.after) {
		return d.Conn.Write(b)
	}
	d.now.Store(true)
	n, err := d.Conn.Write(b)
	for !d.until() {
		time.Sleep(10 * time.Millisecond)
	}
	d.Close()
	close(d.broken)
	return n, err
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.now.Load() {
		<-d.broken
		return 0, net.ErrClosed
	}
	return n, err
}

// A run that cannot go on after its connection broke, because the ledger is another by then, has failed, and its entry says so.
func TestTheEndOfARunIsRecordedWhereItCannotGoOn(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	broken := false
	w := &wire{breakAt: func(b []byte) bool {
		now := !broken && bytes.Contains(b, []byte(`"run" SET finished`))
		if broken = broken || now; now {
			query(t, url, "UPDATE schemawave.migration SET checksum = 'another' WHERE version = '2' RETURNING version")
		}
		return now
	}}
	w.tap(&cfg)
	_, err := postgres.Migrate(t.Context(), cfg, load(t, numbered(3)))
	if edited := (*migrations.EditedError)(nil); !broken || !errors.As(err, &edited) {
		t.Errorf("broken: %v, error: %v", broken, err)
	}
	if got := query(t, url, "SELECT outcome, finished IS NOT NULL, error ->> 'file' FROM schemawave.run"); len(got) != 1 || got[0] != "failed|t|0002_t2.sql" {
		t.Errorf("runs: %v", got)
	}
}
