package postgres_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"testing"
	"testing/fstest"
	"time"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// connection waits until the run is connected, and returns the pid of its server process.
func connection(t *testing.T, url string) string {
	t.Helper()
	for t.Context().Err() == nil {
		pids := query(t, url, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'schemawave/test-pod' AND state = 'idle'")
		if len(pids) == 1 {
			return pids[0]
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("no connection")
	return ""
}

func TestTheConnectionThatWasMadeWhileLoadingIsTheOneThatIsUsed(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	w := &wire{}
	w.tap(&cfg)
	early := ""
	report, err := postgres.MigrateLoading(t.Context(), cfg, func() (migrations.Unchecked, error) {
		early = connection(t, url)
		return migrations.Read(files("1_who.sql", "CREATE TABLE who AS SELECT pg_backend_pid() AS pid"), migrations.LayoutAuto)
	})
	if err != nil || report.Outcome != migrations.OutcomeSucceeded || report.To != "1" {
		t.Fatalf("%+v: %v", report, err)
	}
	if who := query(t, url, "SELECT pid FROM who"); who[0] != early {
		t.Errorf("process %s worked, %s was connected to while loading", who[0], early)
	}
	if dials, _, _ := w.counts(); dials != 1 {
		t.Errorf("%d connections", dials)
	}
}

func TestNothingIsAskedOfTheDatabaseIfLoadingFails(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	w := &wire{}
	w.tap(&cfg)
	report, err := postgres.MigrateLoading(t.Context(), cfg, func() (migrations.Unchecked, error) {
		connection(t, url)
		return migrations.Read(fstest.MapFS{}, migrations.LayoutAuto)
	})
	if !errors.As(err, new(*migrations.LoadError)) || report.Outcome != migrations.OutcomeFailed || report.Failure == nil || report.Database != "orders" {
		t.Errorf("%+v: %v", report, err)
	}
	if dials, _, queries := w.counts(); dials != 1 || queries != 0 {
		t.Errorf("%d queries on %d connections", queries, dials)
	}
}

// A directory that is wrong is the news, also while the server cannot be reached or does not answer.
func TestLoadingFailsFirst(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, address := range map[string]string{"silent": silent.Addr().String(), "gone": gone.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			u := url.URL{Scheme: "postgres", User: url.User("orders"), Host: address, Path: "/orders", RawQuery: "sslmode=disable"}
			_, err := postgres.MigrateLoading(t.Context(), config(t, u.String()), func() (migrations.Unchecked, error) {
				return migrations.Read(fstest.MapFS{}, migrations.LayoutAuto)
			})
			if !errors.As(err, new(*migrations.LoadError)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// The first connection's failure is as good a reason to try again as any other's.
func TestAnEarlyConnectionThatFailsIsTriedAgain(t *testing.T) {
	cfg := config(t, freshURL(t))
	dial, dials := cfg.Conn.DialFunc, 0
	cfg.Conn.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials == 1 {
			return nil, errors.New("not now")
		}
		return dial(ctx, network, address)
	}
	report, err := postgres.MigrateLoading(t.Context(), cfg, func() (migrations.Unchecked, error) {
		return migrations.Read(numbered(2), migrations.LayoutAuto)
	})
	if err != nil || report.Count != 2 || dials != 2 {
		t.Errorf("%+v after %d dials: %v", report, dials, err)
	}
}

// Files that the ledger has are not looked into again, whatever this release would say of them.
func TestWhatIsAppliedIsNotCheckedAgain(t *testing.T) {
	cfg := config(t, freshURL(t))
	read := func(sql string) func() (migrations.Unchecked, error) {
		return func() (migrations.Unchecked, error) {
			u, err := migrations.Read(numbered(3), migrations.LayoutAuto)
			u.Migrations[1].Up.SQL += sql
			return u, err
		}
	}
	if _, err := postgres.MigrateLoading(t.Context(), cfg, read("")); err != nil {
		t.Fatal(err)
	}
	report, err := postgres.MigrateLoading(t.Context(), cfg, read(";COMMIT"))
	if err != nil || report.Outcome != migrations.OutcomeCurrent {
		t.Errorf("%+v: %v", report, err)
	}
}

// Statements that are wrong are found before anything is done, and told even if the database cannot be reached.
func TestStatementsThatAreWrongLeaveTheDatabaseAlone(t *testing.T) {
	url := freshURL(t)
	gone := config(t, url)
	gone.Conn.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("gone") }
	for name, cfg := range map[string]postgres.Config{"reached": config(t, url), "gone": gone} {
		t.Run(name, func(t *testing.T) {
			report, err := postgres.MigrateLoading(t.Context(), cfg, func() (migrations.Unchecked, error) {
				return migrations.Read(files("1_a.sql", "CREATE TABLE a ()", "2_b.sql", "COMMIT"), migrations.LayoutAuto)
			})
			if !errors.As(err, new(*migrations.LoadError)) || report.Failure == nil || report.Failure.Code != migrations.ExitRejected || report.Failure.File != "2_b.sql" {
				t.Errorf("%+v: %v", report.Failure, err)
			}
		})
	}
	if schemas := query(t, url, "SELECT nspname FROM pg_namespace WHERE nspname = 'schemawave'"); len(schemas) > 0 {
		t.Error("there is a ledger")
	}
}
