package postgres_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// stateSQL describes everything that a run leaves, but for times, run ids and object ids: one line for each thing.
const stateSQL = `WITH n AS (SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('public', 'schemawave')),
c AS (SELECT pg_class.oid, relname, relkind, relispartition, pg_class.oid::regclass AS name FROM pg_class JOIN n ON n.oid = relnamespace)
SELECT line FROM (
SELECT concat_ws(' ', 'relation', name, relkind, relispartition, obj_description(oid, 'pg_class')) AS line FROM c
UNION ALL SELECT concat_ws(' ', 'column', name, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
	FROM c JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE relkind IN ('r', 'p', 'v')
UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid, indisready, indislive) FROM pg_index JOIN c ON oid = indexrelid
UNION ALL SELECT concat_ws(' ', 'not valid', indexrelid::regclass) FROM pg_index WHERE NOT indisvalid
UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(k.oid), convalidated) FROM pg_constraint k JOIN n ON n.oid = connamespace WHERE conrelid <> 0
UNION ALL SELECT concat_ws(' ', 'inherits', inhrelid::regclass, inhparent::regclass, inhdetachpending) FROM pg_inherits
UNION ALL SELECT concat_ws(' ', 'label', enumtypid::regtype, row_number() OVER (PARTITION BY enumtypid ORDER BY enumsortorder), enumlabel) FROM pg_enum
UNION ALL SELECT concat_ws(' ', 'function', p.oid::regprocedure, md5(prosrc)) FROM pg_proc p JOIN n ON n.oid = pronamespace
UNION ALL SELECT concat_ws(' ', 'view', name, pg_get_viewdef(oid)) FROM c WHERE relkind = 'v'
UNION ALL SELECT concat_ws(' ', 'executed', what, count(*)) FROM executions GROUP BY what
UNION ALL SELECT concat_ws(' ', 'orders', count(*), md5(string_agg(o::text, ';' ORDER BY id))) FROM orders o
UNION ALL SELECT concat_ws(' ', 'filled', string_agg(v::text, ',' ORDER BY v)) FROM filled
UNION ALL SELECT concat_ws(' ', 'applied', version, 'after', previous, name, checksum, digest, min_compatible) FROM schemawave.migration
UNION ALL SELECT concat_ws(' ', 'journal', migration, ordinal) FROM schemawave.statement
UNION ALL SELECT concat_ws(' ', 'locks', count(*)) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) lines ORDER BY line`

// endState is what a run has left in the database.
func endState(t testing.TB, url string) []string {
	t.Helper()
	return query(t, url, stateSQL)
}

// differences lists the lines that only one of two states has.
func differences(want, got []string) string {
	var b strings.Builder
	for _, side := range []struct {
		what string
		a, b []string
	}{{"missing: ", want, got}, {"too much: ", got, want}} {
		other := map[string]bool{}
		for _, line := range side.b {
			other[line] = true
		}
		for _, line := range side.a {
			if !other[line] {
				b.WriteString(side.what + line + "\n")
			}
		}
	}
	return b.String()
}

// dump is the schema as pg_dump sees it, without the random keys in which it wraps its output.
func dump(t testing.TB, url string) string {
	t.Helper()
	out, err := exec.Command("pg_dump", "--schema-only", "--dbname", url).CombinedOutput()
	if err != nil {
		t.Fatalf("pg_dump: %v: %s", err, out)
	}
	return wrapping.ReplaceAllString(string(out), "")
}

var wrapping = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)
