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

		// The server cannot be reached.
		"Error: connect ECONNREFUSED 10.0.0.5:5432":                    "08001", // Node.js
		"Error: connect ETIMEDOUT 10.0.0.5:5432":                       "08001",
		"Error: getaddrinfo ENOTFOUND orders-db\n  code: 'ENOTFOUND',": "08001",
		"Error: getaddrinfo EAI_AGAIN orders-db":                       "08001",
		"Error: Connection terminated due to connection timeout":       "08001",
		"Error: read ECONNRESET":                                       "08006",

		`connection to server at "db" (10.0.0.1), port 5432 failed: timeout expired`:                                                                "08001", // libpq
		`connection to server at "db" (10.0.0.1), port 5432 failed: Connection timed out`:                                                           "08001",
		`connection to server at "db" (10.0.0.1), port 5432 failed: No route to host`:                                                               "08001",
		`connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  password authentication failed for user "x"`:                            "28P01",
		`connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  database "x" does not exist`:                                            "",
		"psycopg2.OperationalError: SSL connection has been closed unexpectedly":                                                                    "08006",
		"psycopg2.OperationalError: SSL SYSCALL error: EOF detected":                                                                                "08006",
		"ConnectionRefusedError: [Errno 111] Connect call failed ('10.0.0.5', 5432)":                                                                "08001", // asyncpg
		"asyncpg.exceptions.ConnectionDoesNotExistError: connection was closed in the middle of operation":                                          "08006",
		"org.postgresql.util.PSQLException: Connection to db:5432 refused. Check that the hostname and port are correct and that the postmaster is": "08001",
		"Error: P1001: Can't reach database server at `db:5432`":                                                                                    "08001", // Prisma
		"PrismaClientInitializationError: Can't reach database server\n  code: 'P1001',":                                                            "08001",
		"Error code: P3018": "", "Database error code: P0001": "P0001",
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
