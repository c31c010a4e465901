package postgres

import (
	"context"
	"fmt"
	"strings"
)

// fingerprintSQL computes, on the server and in one statement, a hash of how the database's schemas are defined, whatever data
// they hold: schemas, extensions, relations, columns, defaults, indexes, constraints, functions, triggers, rules, views, types,
// enum labels, policies and sequences. Left out are the system's schemas, temporary ones, what belongs to an extension, and the
// tables %s with their indexes and sequences. Two databases with equal definitions have equal hashes.
//
// A definition is rendered as a row, whose quoting keeps its parts apart, and with every name qualified: search_path is to hold
// pg_catalog alone.
const fingerprintSQL = `WITH ns AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
ext AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
apart AS (SELECT c.oid FROM pg_class c JOIN ns ON ns.oid = c.relnamespace WHERE (ns.nspname, c.relname) IN (VALUES %s)),
rel AS (SELECT c.*, ns.nspname FROM pg_class c JOIN ns ON ns.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c', 'S') AND c.oid NOT IN (SELECT oid FROM apart)
	AND NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_class'::regclass AND objid = c.oid)
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
		AND d.deptype IN ('a', 'i') AND d.refobjid IN (SELECT oid FROM apart))),
typ AS (SELECT t.*, ns.nspname FROM pg_type t JOIN ns ON ns.oid = t.typnamespace WHERE t.typtype IN ('e', 'd', 'r')
	AND NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_type'::regclass AND objid = t.oid)),
fun AS (SELECT p.*, ns.nspname FROM pg_proc p JOIN ns ON ns.oid = p.pronamespace
	WHERE NOT EXISTS (SELECT FROM ext WHERE classid = 'pg_proc'::regclass AND objid = p.oid)),
line AS (
SELECT ROW('schema', nspname)::text AS t FROM ns
UNION ALL SELECT ROW('extension', extname, extversion)::text FROM pg_extension
UNION ALL SELECT ROW('relation', nspname, relname, relkind, relpersistence, relrowsecurity, relforcerowsecurity, reloptions, pg_get_expr(relpartbound, oid),
	CASE relkind WHEN 'p' THEN pg_get_partkeydef(oid) WHEN 'v' THEN pg_get_viewdef(oid) WHEN 'm' THEN pg_get_viewdef(oid) END)::text FROM rel
UNION ALL SELECT ROW('inherits', nspname, relname, i.inhseqno, i.inhparent::regclass)::text FROM rel JOIN pg_inherits i ON i.inhrelid = rel.oid
UNION ALL SELECT ROW('column', nspname, relname, a.attname, format_type(a.atttypid, a.atttypmod), (SELECT k.collname FROM pg_collation k WHERE k.oid = a.attcollation), a.attnotnull, a.attidentity, a.attgenerated,
	pg_get_expr(d.adbin, d.adrelid))::text FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE a.attnum > 0 AND NOT a.attisdropped AND rel.relkind <> 'S'
UNION ALL SELECT ROW('index', i.indrelid::regclass, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident, i.indisclustered)::text FROM pg_index i JOIN rel ON rel.oid = i.indrelid
UNION ALL SELECT ROW('constraint', c.conrelid::regclass, c.contypid::regtype, c.conname, pg_get_constraintdef(c.oid))::text FROM pg_constraint c
	WHERE c.conrelid IN (SELECT oid FROM rel) OR c.contypid IN (SELECT oid FROM typ)
UNION ALL SELECT ROW('trigger', pg_get_triggerdef(g.oid), g.tgenabled)::text FROM pg_trigger g JOIN rel ON rel.oid = g.tgrelid WHERE NOT g.tgisinternal
UNION ALL SELECT ROW('rule', pg_get_ruledef(w.oid), w.ev_enabled)::text FROM pg_rewrite w JOIN rel ON rel.oid = w.ev_class WHERE w.rulename <> '_RETURN'
UNION ALL SELECT ROW('policy', nspname, relname, p.polname, p.polcmd, p.polpermissive,
	(SELECT array_agg(r.rolname ORDER BY r.rolname) FROM pg_roles r WHERE r.oid = ANY (p.polroles)), pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))::text
	FROM rel JOIN pg_policy p ON p.polrelid = rel.oid
UNION ALL SELECT ROW('sequence', nspname, relname, format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmax, q.seqmin, q.seqcache, q.seqcycle)::text
	FROM rel JOIN pg_sequence q ON q.seqrelid = rel.oid
UNION ALL SELECT ROW('type', nspname, typname, typtype, format_type(typbasetype, typtypmod), typnotnull, typdefault,
	(SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = typ.oid),
	(SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = typ.oid))::text FROM typ
UNION ALL SELECT ROW('function', pg_get_functiondef(oid))::text FROM fun WHERE prokind <> 'a'
UNION ALL SELECT ROW('aggregate', nspname, proname, pg_get_function_arguments(fun.oid), a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggsortop::regoperator,
	format_type(a.aggtranstype, NULL), a.agginitval)::text FROM fun JOIN pg_aggregate a ON a.aggfnoid = fun.oid)
SELECT 'sha256:' || encode(sha256(convert_to(string_agg(t, E'\n' ORDER BY t COLLATE "C"), getdatabaseencoding())), 'hex') FROM line`

// fingerprintSettings hold for the statement alone: names are qualified, the timeout is that of the tool's statements and not of ours,
// and compiling the statement takes longer than it does.
const fingerprintSettings = "SET LOCAL search_path TO pg_catalog;SET LOCAL statement_timeout TO 0;SET LOCAL jit TO off;"

// fingerprint asks for the hash, leaving out the ledger and the tables, by schema and name, that are said.
func (l ledger) fingerprint(ctx context.Context, s *session, apart [][2]string) (string, error) {
	values := []string{}
	for _, t := range ledgerTables {
		values = append(values, fmt.Sprintf("(%s, %s)", literal(l.schema), literal(t[0])))
	}
	for _, t := range apart {
		values = append(values, fmt.Sprintf("(%s, %s)", literal(t[0]), literal(t[1])))
	}
	rows, err := s.ask(ctx, strings.Join(s.begin, ";")+";"+fingerprintSettings+fmt.Sprintf(fingerprintSQL, strings.Join(values, ", "))+";COMMIT")
	if err != nil {
		return "", err
	}
	return string(rows[len(rows)-1][0]), nil
}
