package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// ledgerFormat marks the root row of the ledgers that this version writes.
const ledgerFormat = "schemawave.dev/ledger/v1"

// ledger speaks of one tenant's rows in one schema's tables.
//
// Table migration has one row for each applied migration, and a root row for the empty database (version ”) that names the
// logical database. Each row refers to the one applied before it: a row cannot be inserted unless its predecessor was
// committed, nor twice after the same one. That chain is what stops the rest when one of many pipelined migrations fails,
// and what keeps two runners from both going on, even if the lock were lost.
type ledger struct {
	schema string
	tenant string // empty where there is only one
}

// table returns the qualified, quoted name of one of the ledger's tables.
func (l ledger) table(name string) string { return identifier(l.schema) + "." + identifier(name) }

// mine is the condition that a row is this tenant's, and what else is said.
func (l ledger) mine(format string, args ...any) string {
	return "tenant = " + literal(l.tenant) + fmt.Sprintf(format, args...)
}

// entry is a row of table migration or repeatable.
type entry struct {
	migrations.Applied
	run string // id of the run that applied it
}

// state is what the ledger says at one moment.
type state struct {
	pid          uint32 // of the server process that answered
	exists       bool
	format       string
	database     string
	tip          migrations.Version // the version applied last, not always the newest
	entries      []entry            // oldest first, without the root row; then the repeatable ones
	halfApplied  []string           // IDs of migrations that have come half way, outside a transaction
	reverting    migrations.Version // one whose down script, outside a transaction, has come half way
	tenantSchema bool               // the tenant, if there are any, has its schema
}

// readSQL asks for the state in one message.
func (l ledger) readSQL() string {
	columns := func(midway string) string {
		return fmt.Sprintf("SELECT m.version, m.name, m.checksum, m.min_compatible, coalesce(m.run::text, ''), "+
			"NOT EXISTS (SELECT FROM %[1]s n WHERE n.tenant = m.tenant AND n.previous = m.version), %[2]s FROM %[1]s m WHERE m.", l.table("migration"), midway)
	}
	rows := columns("(SELECT json_agg(DISTINCT s.migration) "+l.midwayOf("m")+")") + l.mine(" AND m.version = ''") +
		" UNION ALL " + columns("NULL") + l.mine(" AND m.version <> ''") +
		fmt.Sprintf(" UNION ALL SELECT NULL, r.name, r.checksum, '', coalesce(r.run::text, ''), false, NULL FROM %s r WHERE r.", l.table("repeatable")) + l.mine("")
	return l.serverSQL() + ";\n" + l.ifThere(rows)
}

// serverSQL asks which process answers, and whether the tenant's schema is there.
func (l ledger) serverSQL() string {
	tenantSchema := "true"
	if l.tenant != "" {
		tenantSchema = fmt.Sprintf("pg_catalog.to_regnamespace(%s) IS NOT NULL", literal(identifier(l.tenant)))
	}
	return "SELECT pg_catalog.pg_backend_pid(), " + tenantSchema
}

// sameSQL asks in one short question, after what serverSQL asks, whether exactly this set is applied to the logical database, and
// nothing half reverted; NULL if there is no ledger. As in ifThere the tables are named only in text that is executed if they are
// there; ts_stat executes it, for a process of the server that has just started takes longer to load PL/pgSQL than for all this.
func (l ledger) sameSQL(database string, set migrations.Set) string {
	same := fmt.Sprintf("EXISTS (SELECT FROM %s m WHERE m.%s)", l.table("migration"), l.mine(" AND m.version = '' AND m.name = %s AND m.checksum = %s", literal(database), literal(ledgerFormat))) +
		fmt.Sprintf(" AND EXISTS (SELECT FROM %[1]s d WHERE d.%[2]s AND NOT EXISTS (SELECT FROM %[1]s n WHERE n.tenant = d.tenant AND n.previous = d.version) AND NOT EXISTS (SELECT %[3]s))",
			l.table("migration"), l.mine(" AND d.version = %s AND d.digest = %s", literal(string(set.Latest())), literal(set.HistoryDigest())), l.revertingOf("d"))
	if len(set.Repeatables) > 0 {
		same += fmt.Sprintf(" AND %d = (SELECT count(*) FROM %s r WHERE r.%s AND %s)", len(set.Repeatables), l.table("repeatable"), l.mine(""), repeatedIn(set))
	}
	return fmt.Sprintf("%s, CASE WHEN pg_catalog.to_regclass(%s) IS NOT NULL THEN EXISTS (SELECT FROM pg_catalog.ts_stat(%s)) END", l.serverSQL(),
		literal(l.table("migration")), literal("SELECT 'same'::pg_catalog.tsvector WHERE "+same))
}

// midwayOf goes on after SELECT: the journal's entries s of what has done something, for the tenant of that row. What only a failed
// statement is known of has done nothing.
func (l ledger) midwayOf(row string) string {
	return fmt.Sprintf("FROM %s s WHERE s.tenant = %s.tenant AND NOT s.failed", l.table("statement"), row)
}

// revertingOf is midwayOf for down scripts alone.
func (l ledger) revertingOf(row string) string {
	return l.midwayOf(row) + fmt.Sprintf(" AND starts_with(s.migration, %s)", literal(reverting))
}

// parseMidway takes the names of what midwayOf finds, as JSON.
func (st *state) parseMidway(column []byte) error {
	var names []string
	if column == nil {
		return nil
	}
	if err := json.Unmarshal(column, &names); err != nil {
		return fmt.Errorf("read the ledger: what has come half way: %w", err)
	}
	for _, name := range names {
		version, down := strings.CutPrefix(name, reverting)
		switch {
		case !down:
			st.halfApplied = append(st.halfApplied, name)
		case st.reverting == "":
			st.reverting = migrations.Version(version)
		}
	}
	return nil
}

// repeatedIn is the condition that a row r of table repeatable is as the set wants it.
func repeatedIn(set migrations.Set) string {
	values := make([]string, len(set.Repeatables))
	for i, m := range set.Repeatables {
		values[i] = fmt.Sprintf("(%s, %s)", literal(m.Name), literal(m.Checksum))
	}
	return fmt.Sprintf("(r.name, r.checksum) IN (VALUES %s)", strings.Join(values, ", "))
}

// ifThere is a message that runs a query if the ledger's tables are there, and has no rows otherwise. They are named only in text
// that is executed then: a fresh database answers with no error, not even in the server's log.
func (l ledger) ifThere(query string) string {
	return block(fmt.Sprintf(`DECLARE c refcursor := 'schemawave_ledger'; BEGIN
IF pg_catalog.to_regclass(%s) IS NULL THEN OPEN c FOR SELECT WHERE false;
ELSE OPEN c FOR EXECUTE %s; END IF; END`, literal(l.table("migration")), literal(query))) + `;
FETCH ALL FROM schemawave_ledger`
}

// parse makes a state of readSQL's rows; of sameSQL's, what the server is.
func (l ledger) parse(rows [][][]byte) (state, error) {
	if len(rows) == 0 || len(rows[0]) < 2 {
		return state{}, fail(migrations.ExitBug, "the server answered the question for the ledger in an unknown form", "report this")
	}
	pid, err := strconv.ParseUint(string(rows[0][0]), 10, 32)
	if err != nil {
		return state{}, fmt.Errorf("read the ledger: backend pid: %w", err)
	}
	st := state{pid: uint32(pid), tenantSchema: string(rows[0][1]) == "t"}
	for _, row := range rows[1:] {
		e := entry{run: string(row[4]), Applied: migrations.Applied{
			Version: migrations.Version(row[0]), Name: string(row[1]),
			Checksum: string(row[2]), MinCompatible: migrations.Version(row[3])}}
		if string(row[5]) == "t" {
			st.tip = e.Version
		}
		if row[0] != nil && e.Version == "" {
			st.exists, st.database, st.format = true, e.Name, e.Checksum
			if err := st.parseMidway(row[6]); err != nil {
				return state{}, err
			}
			continue
		}
		st.entries = append(st.entries, e)
	}
	slices.SortStableFunc(st.entries, func(a, b entry) int {
		if a.Version == "" || b.Version == "" {
			return b.Version.Compare(a.Version)
		}
		return a.Version.Compare(b.Version)
	})
	return st, nil
}

// check refuses a ledger that this run must not touch.
func (st state) check(database string, l ledger) error {
	if !st.tenantSchema {
		return misconfigured(fmt.Sprintf("there is no schema %s for the tenant of that name", identifier(l.tenant)),
			fmt.Sprintf("create it (CREATE SCHEMA %s), or leave the tenant out", identifier(l.tenant)))
	}
	if !st.exists {
		return nil
	}
	if st.format != ledgerFormat {
		return misconfigured(fmt.Sprintf("the ledger in schema %s has the format %q", l.schema, st.format), "use the Schemawave version that wrote it, or a newer one")
	}
	if st.database != database {
		return misconfigured(fmt.Sprintf("the ledger in schema %s belongs to database %s, not to %s", l.schema, st.database, database),
			fmt.Sprintf("correct the name or the connection URL; to keep %s in the same PostgreSQL database, give it a ledger schema of its own", database))
	}
	return nil
}

// nothingHalfReverted refuses to go on where a down script has stopped midway: the version is still recorded, and part of what it
// made is gone.
func (st state) nothingHalfReverted(l ledger) error {
	if st.reverting == "" {
		return nil
	}
	return inconsistent(fmt.Sprintf("version %s is half reverted: its down script, which runs outside a transaction, has stopped midway", st.reverting),
		fmt.Sprintf("go on with schemawave down; or make again by hand what the script has removed, and delete the rows of %s%s from %s", reverting, st.reverting, l.table("statement")))
}

// nothingPassedOver refuses a plan that goes on above a half-applied migration without completing it: its file is gone, has another
// version now, or is skipped, and part of what it makes is there.
func (st state) nothingPassedOver(l ledger, set migrations.Set, plan migrations.Plan, applied []migrations.Applied) error {
	for _, id := range st.halfApplied {
		v := migrations.Version(id)
		goesOn := func(m migrations.Migration) bool { return m.ID() == id }
		isApplied := func(a migrations.Applied) bool { return a.Version == v }
		if plan.Current() || strings.HasPrefix(id, "R__") || v.Compare(set.Latest()) > 0 || slices.ContainsFunc(plan.Pending, goesOn) || slices.ContainsFunc(applied, isApplied) {
			continue
		}
		return inconsistent(fmt.Sprintf("migration %s is half applied, and would be passed over", id),
			fmt.Sprintf("bring its file back, and let it be completed (with the policy outOfOrder at apply, if newer ones are applied); "+
				"or take back by hand what it has done, and delete its rows from %s", l.table("statement")))
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

// by returns the IDs of what a run has applied, in the order of entries.
func (st state) by(run string) []string {
	var out []string
	for _, e := range st.entries {
		if e.run == run {
			out = append(out, migrations.Migration{Version: e.Version, Name: e.Name}.ID())
		}
	}
	return out
}

// read asks for the state on its own.
func (l ledger) read(ctx context.Context, s *session) (state, error) {
	rows, err := s.ask(ctx, l.readSQL())
	if err != nil {
		return state{}, err
	}
	return l.parse(rows)
}

// readUnless is read, except that nothing but what the server is gets read if exactly the set is applied. So it is one short question
// where nothing is to be done, however long the history, and where there is no ledger; else a second one follows.
func (l ledger) readUnless(ctx context.Context, s *session, database string, set migrations.Set) (st state, same bool, err error) {
	rows, err := s.ask(ctx, l.sameSQL(database, set))
	if err != nil {
		return state{}, false, err
	}
	if st, err = l.parse(rows); err != nil {
		return state{}, false, err
	}
	if answer := rows[0][2]; answer == nil || string(answer) == "t" {
		return st, answer != nil, nil
	}
	st, err = l.read(ctx, s)
	return st, false, err
}

// unfinishedSQL asks for the IDs of the migrations that are half applied.
func (l ledger) unfinishedSQL() string {
	return fmt.Sprintf("SELECT DISTINCT migration FROM %s WHERE %s ORDER BY migration", l.table("statement"), l.mine(""))
}

// column is the first column of rows.
func column(rows [][][]byte) []string {
	var out []string
	for _, row := range rows {
		out = append(out, string(row[0]))
	}
	return out
}

// block executes code. No dollar quotes are around it: a tenant's name or the ledger's could hold them.
func block(code string) string { return "DO " + literal(code) }

// identifier quotes a name (PostgreSQL, "Identifiers and Key Words").
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a string for a session with standard_conforming_strings on.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
