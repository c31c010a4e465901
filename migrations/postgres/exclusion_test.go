package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// atOnce selects the pairs of runs that overlap, by the server's clock.
const atOnce = "SELECT a.tenant || '+' || b.tenant FROM schemawave.run a JOIN schemawave.run b ON a.id < b.id AND a.started < b.finished AND b.started < a.finished WHERE "

// excluded checks that runs of the whole database were alone, and those of a tenant but for those of others.
func excluded(t *testing.T, url string) {
	t.Helper()
	if got := query(t, url, atOnce+"a.tenant = b.tenant OR a.tenant = '' OR b.tenant = ''"); len(got) != 0 {
		t.Errorf("at once: %q", got)
	}
}

// twoWays are a database's own address and one behind a pooler.
func twoWays(t *testing.T, url string) map[string]string {
	t.Helper()
	return map[string]string{"direct": url, "pooled": pooler(t, postgrestest.PoolerOptions{PoolSize: 60}).URL(databaseName(t, url))}
}

func TestRunnersOnBothWaysAtOnce(t *testing.T) {
	for range 3 {
		url := freshURL(t)
		ways := twoWays(t, url)
		if applied := raceGoroutines(t, 40, ways["direct"], ways["pooled"]); applied != racedFiles+1 {
			t.Errorf("%d reported as applied, want %d", applied, racedFiles+1)
		}
		counted(t, url, racedFiles, racedIndexes)
		excluded(t, url)
	}
}

// What goes to all of a database is alone, whether that is a tool or migrations. Tenants do not wait for each other.
func TestTheWholeDatabaseAndItsTenantsExcludeEachOther(t *testing.T) {
	for _, whole := range []string{"direct", "pooled"} {
		for _, tenants := range []string{"direct", "pooled"} {
			t.Run(whole+" beside tenants "+tenants, func(t *testing.T) {
				url := tenantsURL(t, "a", "b", "c", "d", "e", "f")
				query(t, url, laravelTable)
				ways := twoWays(t, url)
				var all sync.WaitGroup
				all.Go(func() {
					report, err := postgres.MigrateTenants(t.Context(), config(t, ways[tenants]), load(t, numberedWith("SELECT pg_sleep(0.2)")), everyTenant)
					if err != nil || report.Count != 6 {
						t.Errorf("%v: %+v", err, report)
					}
				})
				for i := range 3 {
					cfg := config(t, ways[whole])
					all.Go(func() {
						eventually(t, url, "SELECT coalesce((SELECT relname::text FROM pg_class WHERE relname = 'run'), '')", "run")
						var err error
						if i == 0 {
							_, err = postgres.Migrate(t.Context(), cfg, load(t, numberedWith("SELECT pg_sleep(0.1)")))
						} else {
							_, err = postgres.Exclusively(t.Context(), cfg, postgres.Command{Name: "tool", History: laravel,
								Run: func(context.Context, map[string]string) (int, error) {
									time.Sleep(100 * time.Millisecond)
									return 0, nil
								}})
						}
						if err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
				excluded(t, url)
				if got := query(t, url, atOnce+"a.tenant <> b.tenant"); len(got) == 0 {
					t.Error("the tenants went one by one")
				}
				if got := query(t, url, "SELECT count(*) FROM schemawave.run WHERE outcome <> 'failed'"); got[0] != "9" {
					t.Errorf("%s runs", got[0])
				}
			})
		}
	}
}

// Whoever waits is told of the one that came the other way.
func TestTheHolderOnTheOtherWayIsTold(t *testing.T) {
	t.Parallel() // it waits more than it works
	for holder, waiter := range map[string]string{"direct": "pooled", "pooled": "direct"} {
		t.Run(waiter+" for "+holder, func(t *testing.T) {
			url := freshURL(t)
			ways := twoWays(t, url)
			first := config(t, ways[holder])
			first.Pod = "first-pod"
			wait := background(t, t.Context(), first, url, "SELECT pg_sleep(1)")
			second := config(t, ways[waiter])
			second.Deadline = 300 * time.Millisecond
			if _, err := postgres.Migrate(t.Context(), second, load(t, numbered(1))); postgres.ExitCode(err) != migrations.ExitBusy || !strings.Contains(err.Error(), "held by schemawave/first-pod") {
				t.Errorf("%v", err)
			}
			if _, err := wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A runner with a lease that was taken for dead cannot commit beside or after one that came directly.
func TestADirectRunnerEndsALeaseThatHasExpired(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, twoWays(t, url)["pooled"])
	cfg.Retries = -1
	migrate(t, cfg, load(t, numbered(1)))
	overtaken := false
	w := &wire{onWrite: func(b []byte) {
		if !overtaken && strings.Contains(string(b), "CREATE TABLE t2") { // just before it is sent
			overtaken = true
			expireLease(t, url)
			if report := migrate(t, config(t, url), load(t, numbered(3))); report.Count != 2 {
				t.Errorf("%+v", report)
			}
		}
	}}
	w.tap(&cfg)
	if _, err := postgres.Migrate(t.Context(), cfg, load(t, numbered(3))); !overtaken || postgres.ExitCode(err) != migrations.ExitBusy || !strings.Contains(err.Error(), "lease") {
		t.Errorf("%v", err)
	}
	counted := query(t, url, "SELECT count(*) FROM schemawave.migration WHERE version <> ''")
	if counted[0] != "3" {
		t.Errorf("%s recorded", counted[0])
	}
}

// Nor does one that came directly begin while a transaction of a lease's holder is under way, however long that is silent.
func TestADirectRunnerWaitsForTheLastTransactionOfALease(t *testing.T) {
	for _, tenant := range []string{"", "a"} {
		t.Run("lease of "+tenant, func(t *testing.T) {
			url := tenantsURL(t, "a")
			cfg := config(t, url)
			if _, err := postgres.MigrateTenants(t.Context(), cfg, load(t, numbered(1)), everyTenant); err != nil {
				t.Fatal(err)
			}
			migrate(t, cfg, load(t, numbered(1)))
			query(t, url, fmt.Sprintf("UPDATE schemawave.lease SET token = 77, holder = 'silent', expires = now() - interval '1 hour' WHERE tenant = '%s'", tenant))
			conn := session(t, url)
			if _, err := conn.Exec(t.Context(), "BEGIN; SELECT 1 / count(*) FROM (SELECT FROM schemawave.lease WHERE token = 77 FOR KEY SHARE) AS held").ReadAll(); err != nil {
				t.Fatal(err)
			}
			waiting := cfg
			waiting.Deadline = 500 * time.Millisecond
			if _, err := postgres.Migrate(t.Context(), waiting, load(t, numbered(2))); postgres.ExitCode(err) != migrations.ExitBusy || !strings.Contains(err.Error(), "silent") {
				t.Errorf("%v", err)
			}
			if _, err := conn.Exec(t.Context(), "COMMIT").ReadAll(); err != nil {
				t.Fatal(err)
			}
			migrate(t, cfg, load(t, numbered(2)))
		})
	}
}

// A run whose connection to the pooler breaks has its lease still, and goes on with it, although a direct one is waiting.
func TestALeaseOutlastsItsConnectionBesideADirectRunner(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, twoWays(t, url)["pooled"])
	set := load(t, numbered(3))
	migrate(t, cfg, load(t, numbered(1)))
	waits := make(chan struct{})
	direct := config(t, url)
	var once sync.Once
	direct.Logger = slog.New(heard{slog.DiscardHandler, "waiting for the migration lock", func() { once.Do(func() { close(waits) }) }})
	var second sync.WaitGroup
	broken := false
	w := &wire{onWrite: func(b []byte) {
		if !broken && strings.Contains(string(b), "CREATE TABLE t2") {
			broken = true
			second.Go(func() {
				if report := migrate(t, direct, set); report.Count != 0 || report.Finished.Sub(report.Started) > 10*time.Second {
					t.Errorf("the direct one: %+v", report)
				}
			})
			select {
			case <-waits:
			case <-time.After(5 * time.Second):
				t.Error("the direct one does not wait")
			}
			query(t, server.URL("postgres"), fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s' AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')", databaseName(t, url)))
		}
	}}
	w.tap(&cfg)
	if report := migrate(t, cfg, set); report.Count != 2 || !broken {
		t.Errorf("%+v", report)
	}
	second.Wait()
}
