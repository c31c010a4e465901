package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// ledgerFormat marks the root row of the ledgers that this version writes.
const ledgerFormat = "schemawave.dev/ledger/v1"

// ledger speaks of one schema's tables.
//
// Table migration has one row for each applied migration, and a root row for the empty database (version ”) that names the
// logical database. Each row refers to the one applied before it: a row cannot be inserted unless its predecessor was
// committed, nor twice after the same one. That chain is what stops the rest when one of many pipelined migrations fails,
// and what keeps two runners from both going on, even if the lock were lost.
type ledger struct {
	schema string
}

// table returns the qualified, quoted name of one of the ledger's tables.
func (l ledger) table(name string) string { return identifier(l.schema) + "." + identifier(name) }

// entry is a row of table migration.
type entry struct {
	migrations.Applied
	run string // id of the run that applied it
}

// state is what the ledger says at one moment.
type state struct {
	pid          uint32 // of the server process that answered
	schemaExists bool
	exists       bool
	format       string
	database     string
	empty        bool               // nothing has been applied
	tip          migrations.Version // the version applied last, not always the newest
	entries      []entry            // oldest first, without the root row
}

// readSQL asks for the state in one message. If the history is exactly the set that ends with latest and has the digest
// (the row applied last says so), the answer is the root row alone, however long the history; an empty digest asks for all
// rows. The tables are named only in text that is executed if they are there: a fresh database answers with no error, not
// even in the server's log.
func (l ledger) readSQL(latest migrations.Version, digest string) string {
	same := "false"
	if digest != "" {
		same = fmt.Sprintf("EXISTS (SELECT FROM %[1]s d WHERE d.version = %[2]s AND d.version <> '' AND d.digest = %[3]s "+
			"AND NOT EXISTS (SELECT FROM %[1]s n WHERE n.previous = d.version))", l.table("migration"), literal(string(latest)), literal(digest))
	}
	columns := fmt.Sprintf("SELECT m.version, m.name, m.checksum, m.min_compatible, coalesce(m.run::text, ''), "+
		"NOT EXISTS (SELECT FROM %[1]s n WHERE n.previous = m.version) FROM %[1]s m", l.table("migration"))
	rows := columns + " WHERE m.version = '' UNION ALL " + columns + " WHERE m.version <> '' AND NOT " + same
	return fmt.Sprintf(`SELECT pg_catalog.pg_backend_pid(), pg_catalog.to_regnamespace(%s) IS NOT NULL;
DO $schemawave$DECLARE c refcursor := 'schemawave_ledger'; BEGIN
IF pg_catalog.to_regclass(%s) IS NULL THEN OPEN c FOR SELECT WHERE false;
ELSE OPEN c FOR EXECUTE %s; END IF; END$schemawave$;
FETCH ALL FROM schemawave_ledger`,
		literal(identifier(l.schema)), literal(l.table("migration")), literal(rows))
}

// parse makes a state of readSQL's rows.
func (l ledger) parse(rows [][][]byte) (state, error) {
	if len(rows) == 0 || len(rows[0]) != 2 {
		return state{}, fail(migrations.ExitBug, "the server answered the question for the ledger in an unknown form", "report this")
	}
	pid, err := strconv.ParseUint(string(rows[0][0]), 10, 32)
	if err != nil {
		return state{}, fmt.Errorf("read the ledger: backend pid: %w", err)
	}
	st := state{pid: uint32(pid), schemaExists: string(rows[0][1]) == "t"}
	for _, row := range rows[1:] {
		e := entry{run: string(row[4]), Applied: migrations.Applied{
			Version: migrations.Version(row[0]), Name: string(row[1]),
			Checksum: string(row[2]), MinCompatible: migrations.Version(row[3])}}
		if string(row[5]) == "t" {
			st.tip = e.Version
		}
		if e.Version == "" {
			st.exists, st.database, st.format, st.empty = true, e.Name, e.Checksum, string(row[5]) == "t"
			continue
		}
		st.entries = append(st.entries, e)
	}
	slices.SortFunc(st.entries, func(a, b entry) int { return a.Version.Compare(b.Version) })
	return st, nil
}

// check refuses a ledger that this run must not touch.
func (st state) check(database, schema string) error {
	if !st.exists {
		return nil
	}
	if st.format != ledgerFormat {
		return misconfigured(fmt.Sprintf("the ledger in schema %s has the format %q", schema, st.format), "use the Schemawave version that wrote it, or a newer one")
	}
	if st.database != database {
		return misconfigured(fmt.Sprintf("the ledger in schema %s belongs to database %s, not to %s", schema, st.database, database),
			fmt.Sprintf("correct the name or the connection URL; to keep %s in the same PostgreSQL database, give it a ledger schema of its own", database))
	}
	return nil
}

// applied is the history in the form that plans are made from.
func (st state) applied() []migrations.Applied {
	out := make([]migrations.Applied, len(st.entries))
	for i, e := range st.entries {
		out[i] = e.Applied
	}
	return out
}

// by returns the versions that a run has applied, oldest first.
func (st state) by(run string) []migrations.Version {
	var out []migrations.Version
	for _, e := range st.entries {
		if e.run == run {
			out = append(out, e.Version)
		}
	}
	return out
}

// createSQL makes the tables and the root row. It runs under the lock. CREATE SCHEMA is left out where the schema is
// there, for even with IF NOT EXISTS it asks for the right to create one.
func (l ledger) createSQL(schemaExists bool, database string) string {
	var b strings.Builder
	b.WriteString("BEGIN;")
	if !schemaExists {
		fmt.Fprintf(&b, "CREATE SCHEMA %s;", identifier(l.schema))
	}
	fmt.Fprintf(&b, `CREATE TABLE IF NOT EXISTS %s (
	id uuid PRIMARY KEY, digest text NOT NULL, job text NOT NULL, pod text NOT NULL, tool text NOT NULL,
	started timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), finished timestamptz, outcome text, error jsonb);
`, l.table("run"))
	fmt.Fprintf(&b, `CREATE TABLE IF NOT EXISTS %[1]s (
	version text COLLATE "C" PRIMARY KEY, previous text COLLATE "C" UNIQUE REFERENCES %[1]s (version),
	name text NOT NULL, checksum text NOT NULL, digest text NOT NULL DEFAULT '', min_compatible text NOT NULL DEFAULT '', down text, run uuid,
	applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), duration interval,
	CHECK ((version = '') = (previous IS NULL)));
`, l.table("migration"))
	fmt.Fprintf(&b, `CREATE TABLE IF NOT EXISTS %s (
	version text COLLATE "C", ordinal int, prefix text NOT NULL, existed boolean NOT NULL, run uuid,
	started timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), finished timestamptz, failed boolean NOT NULL DEFAULT false,
	PRIMARY KEY (version, ordinal));
`, l.table("statement"))
	for name, text := range map[string]string{
		"run":       "one row for each run of Schemawave that had something to do",
		"migration": "the migrations applied to this database, each referring to the one before; the row with an empty version names the database",
		"statement": "how far a migration that cannot run in a transaction has come; empty when none is half applied",
	} {
		fmt.Fprintf(&b, "COMMENT ON TABLE %s IS %s;", l.table(name), literal(text))
	}
	fmt.Fprintf(&b, "INSERT INTO %s (version, name, checksum) VALUES ('', %s, %s);COMMIT",
		l.table("migration"), literal(database), literal(ledgerFormat))
	return b.String()
}

// insertSQL records a migration as following the version applied before it. digest is that of the history with it.
func (l ledger) insertSQL(m migrations.Migration, previous migrations.Version, digest, run string) string {
	down := "NULL"
	if m.Down != nil {
		down = literal(m.Down.SQL)
	}
	return fmt.Sprintf("INSERT INTO %s (version, previous, name, checksum, digest, min_compatible, down, run) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
		l.table("migration"), literal(string(m.Version)), literal(string(previous)), literal(m.Name), literal(m.Checksum), literal(digest),
		literal(string(m.MinCompatible)), down, literal(run))
}

// beginRunSQL records that a run begins.
func (l ledger) beginRunSQL(id, digest string, cfg Config) string {
	return fmt.Sprintf("INSERT INTO %s (id, digest, job, pod, tool) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING", l.table("run"),
		literal(id), literal(digest), literal(cfg.Job), literal(cfg.Pod), literal(cfg.ToolVersion))
}

// endRunSQL records how a run ended, and how long its migrations took. Its commit is synchronous: once it is
// acknowledged, so is everything before it.
func (l ledger) endRunSQL(id string, outcome migrations.Outcome, failure []byte, took map[migrations.Version]time.Duration) string {
	problem := "NULL"
	if failure != nil {
		problem = literal(string(failure))
	}
	sql := fmt.Sprintf("UPDATE %s SET finished = pg_catalog.clock_timestamp(), outcome = %s, error = %s WHERE id = %s",
		l.table("run"), literal(string(outcome)), problem, literal(id))
	if len(took) == 0 {
		return sql
	}
	rows := make([]string, 0, len(took))
	for v, d := range took {
		rows = append(rows, fmt.Sprintf("(%s, %d)", literal(string(v)), d.Microseconds()))
	}
	return sql + fmt.Sprintf(";UPDATE %s m SET duration = t.us * interval '1 microsecond' FROM (VALUES %s) t(version, us) WHERE m.version = t.version",
		l.table("migration"), strings.Join(rows, ","))
}

// read asks for the state on its own. Entries are left out where readSQL says; same tells.
func (l ledger) read(ctx context.Context, s *session, latest migrations.Version, digest string) (st state, same bool, err error) {
	rows, err := s.ask(ctx, l.readSQL(latest, digest))
	if err != nil {
		return state{}, false, err
	}
	st, err = l.parse(rows)
	return st, st.exists && !st.empty && len(st.entries) == 0, err
}

// identifier quotes a name (PostgreSQL, "Identifiers and Key Words").
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a string for a session with standard_conforming_strings on.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
