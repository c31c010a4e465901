package runner

import (
	"io"
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

// said is the tail of a tool that has printed a text.
func said(text string) *tail {
	s := stream{to: io.Discard, last: &tail{}, secrets: newSecrets(nil)}
	io.WriteString(&s, text) //nolint:errcheck // never fails
	s.flush()
	return s.last
}

// What a driver says passes through what redacts a report, and is understood all the same.
func TestErrorsAsDriversPrintThem(t *testing.T) {
	for name, test := range map[string]struct{ output, state, message string }{
		"node-postgres": {"error: permission denied to create extension \"postgis\"\n    at Parser.parseErrorMessage (/app/node_modules/pg-protocol/dist/parser.js:283:98) {\n" +
			"  length: 190,\n  severity: 'ERROR',\n  code: '42501',\n  routine: 'execute_extension_script'\n}\n",
			"42501", `error: permission denied to create extension "postgis"`},
		"Doctrine": {"An exception occurred while executing 'INSERT INTO t VALUES (?)' with params [\"x\"]: SQLSTATE[55P03]: Lock not available\n",
			"55P03", "An exception occurred while executing '…'"},
		"Knex": {"migration failed with error: insert into t (code) values ('40001') - canceling statement due to lock timeout\n",
			"55P03", "migration failed with error: insert into t (code) values ( …"},
		"a value of the statement": {"error: update t set v = 1 where code = '40001' - column v does not exist\n",
			"", "error: update t set v = 1 where code = '…' - column v does not exist"},
	} {
		e := verdict("tool", ending{status: 1}, said(test.output)).(*postgres.Error)
		if e.Failure.SQLState != test.state || e.Failure.Message != "tool ended with exit status 1: "+test.message {
			t.Errorf("%s: %q, %q", name, e.Failure.SQLState, e.Failure.Message)
		}
	}
}

func TestVerdictTellsTheError(t *testing.T) {
	for last, want := range map[string]string{
		"":                                   "php ended with exit status 1",
		"Migrating\nnothing else":            "php ended with exit status 1",
		"an error before\nKeyError: x\nat y": "php ended with exit status 1: KeyError: x",
	} {
		if e := verdict("php", ending{status: 1}, said(last)).(*postgres.Error); e.Failure.Message != want || e.Failure.Output != last {
			t.Errorf("%q: %+v", last, e.Failure)
		}
	}
	if err := verdict("php", ending{}, said("error")); err != nil {
		t.Errorf("exit status 0: %v", err)
	}
	if err := verdict("php", ending{status: 0, stopped: true}, said("")); err == nil {
		t.Error("one that was stopped has done its work")
	}
	if e := verdict("php", ending{status: -1, signal: syscall.SIGKILL}, said("")).(*postgres.Error); e.Failure.Permanent {
		t.Errorf("%+v", e.Failure)
	}
}
