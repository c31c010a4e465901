package postgres

import (
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// codeOf classifies an SQLSTATE (PostgreSQL, appendix A).
func codeOf(state string) migrations.ExitCode {
	switch state {
	case "42501", "28P01", "28000", "0LP01", "0P000":
		return migrations.ExitDenied
	case "3D000":
		return migrations.ExitConfig
	case "55P03", "40P01", "40001", "57014", "55006":
		return migrations.ExitBusy
	case "25006", "25P03":
		return migrations.ExitUnreachable
	case "58P01", "58P02": // a file that a statement names: it is not there, or is there already
		return migrations.ExitRejected
	}
	switch state[:min(2, len(state))] {
	case "08", "53", "57", "58":
		return migrations.ExitUnreachable
	case "28":
		return migrations.ExitDenied
	}
	return migrations.ExitRejected
}

// mayPass reports whether the same statement, sent again, may well succeed, having left nothing behind.
func mayPass(pe *pgconn.PgError) bool {
	switch pe.Code {
	case "55P03", "40P01", "40001":
		return true
	}
	return lostRace(pe)
}

// lostRace reports whether another transaction has created, replaced, altered or granted the same at the same time, even where IF NOT
// EXISTS or OR REPLACE is said. The server has no SQLSTATE for that: it is a duplicate in a catalogue, or an internal error, whose
// message is in no other language (simple_heap_update and simple_heap_delete in PostgreSQL's access/heap/heapam.c).
func lostRace(pe *pgconn.PgError) bool {
	switch pe.Code {
	case "23505":
		return pe.SchemaName == "pg_catalog"
	case "XX000":
		return pe.Message == "tuple concurrently updated" || pe.Message == "tuple concurrently deleted"
	}
	return false
}

// worthConnectingAgain reports whether a refused connection may be accepted a little later.
func worthConnectingAgain(e *Error) bool {
	return e.cause == nil && e.Failure.Code == migrations.ExitUnreachable
}

// hintFor is the remedy for the errors that migrations meet most.
func hintFor(pe *pgconn.PgError) string {
	if lostRace(pe) {
		return "another session created or changed the same object at the same time: run it again"
	}
	hints := map[string]string{
		"42P07": "it exists already: was it created by hand, or by another tool whose history should be imported?",
		"42701": "the column exists already: was it added by hand, or by another tool whose history should be imported?",
		"42710": "it exists already: was it created by hand, or by another tool whose history should be imported?",
		"42P06": "the schema exists already: create it with IF NOT EXISTS, or import the history of the tool that made it",
		"42723": "the function exists already: use CREATE OR REPLACE FUNCTION",
		"42P01": "the table is not there: check the order of the migrations, the search_path and the database",
		"42703": "the column is not there: check its name and the order of the migrations",
		"42704": "it is not there: check its name, the order of the migrations and the installed extensions",
		"42601": "correct the SQL",
		"23502": "rows without a value exist: fill them first, in a migration before this one",
		"23505": "duplicate rows exist: remove them first, in a migration before this one",
		"23503": "rows that refer to nothing exist: repair them first, in a migration before this one",
		"23514": "rows that violate the constraint exist: repair them first, or add it NOT VALID and validate it later",
		"2BP01": "other objects depend on it: drop or change them first",
		"55P03": "another session holds the lock: wait for its transaction to end, or raise policy.lockTimeout",
		"40P01": "two sessions waited for each other: run it again",
		"40001": "another session changed the same rows: run it again",
		"42501": "grant the privilege to the role that migrates, or migrate as the owner",
		"3D000": "create the database, or correct its name in the connection URL",
		"28P01": "correct the user or the password in the connection's secret",
		"28000": "allow this user, host and database in pg_hba.conf, or correct them in the connection's secret",
		"53300": "the server has no connection left: close idle ones, or raise max_connections",
		"53100": "the server's disk is full: make room",
		"57014": "a statement_timeout of the file or of the connection URL has passed: raise it; or somebody cancelled it: run it again",
		"25001": "put the statement into a file of its own, or write -- schemawave: no-transaction in its first line",
		"2D000": "the code commits by itself: write -- schemawave: no-transaction in the file's first line",
		"55P04": "a new enum value can be used only after it is committed: use it in a later migration",
		"25006": "the server is read-only: point the connection at the primary; or default_transaction_read_only is on for the role or the database",
		"22021": "an escape in a string (such as E'\\xff') makes bytes that are no character of the database's encoding: correct it",
		"22P05": "the database's encoding does not have the character: write another, in comments too, or use a database in UTF8",
		"57P03": "the server is starting or stopping: run it again",
	}
	return hints[pe.Code]
}
