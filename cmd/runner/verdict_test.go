package runner

import (
	"syscall"
	"testing"

	"github.com/schemawave/schemawave/migrations/postgres"
)

func TestSQLStatesInOutput(t *testing.T) {
	for output, want := range map[string]string{
		"": "", "exit code: 1": "", "code: 'EPIPE'": "", "it may be that 42P01 is a name": "",
		"SQLSTATE[42P01]: Undefined table: 7 ERROR: x":                    "42P01", // Laravel
		"ERROR: canceling statement due to lock timeout (SQLSTATE 55P03)": "55P03", // pgx
		"  code: '40P01',":   "40P01", // node-postgres
		"SQL State  : 42501": "42501", // Flyway
		"psycopg2.errors.DeadlockDetected: deadlock detected":                "40P01",
		"SQLSTATE[55P03] first\nSQLSTATE[42601] last":                        "42601",
		"connection refused\nthen: permission denied for table orders":       "42501",
		"FATAL:  the database system is starting up":                         "57P03",
		"OperationalError: server closed the connection unexpectedly":        "08006",
		`connection to server at "db" (10.0.0.1) failed: Connection refused`: "08001",
	} {
		if got := sqlStateIn(output); got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
}

func TestVerdictTellsTheError(t *testing.T) {
	for last, want := range map[string]string{
		"":                                     "php ended with exit status 1",
		"Migrating\nnothing else":              "php ended with exit status 1",
		"an error before\nKeyError: x\n  at y": "php ended with exit status 1: KeyError: x",
	} {
		if e := verdict("php", ending{status: 1}, last).(*postgres.Error); e.Failure.Message != want || e.Failure.Output != last {
			t.Errorf("%q: %+v", last, e.Failure)
		}
	}
	if err := verdict("php", ending{}, "error"); err != nil {
		t.Errorf("exit status 0: %v", err)
	}
	if err := verdict("php", ending{status: 0, stopped: true}, ""); err == nil {
		t.Error("one that was stopped has done its work")
	}
	if e := verdict("php", ending{status: -1, signal: syscall.SIGKILL}, "").(*postgres.Error); e.Failure.Permanent {
		t.Errorf("%+v", e.Failure)
	}
}
