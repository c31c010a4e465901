package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// inspectUnnamed finds the indexes that an earlier attempt of CREATE INDEX CONCURRENTLY may have made or left, where the statement
// gives no name. They are known by their definition, in the words of the server itself: the statement is tried on an empty copy of
// the table, in a transaction that is rolled back.
//
// If the trial is refused, nothing is known of an earlier attempt: an index that it may have made stays, beside the one that is made now.
func (w *walk) inspectUnnamed(ctx context.Context, c migrations.Concurrent, st migrations.Statement, left leftover) (leftover, error) {
	rows, err := w.session.ask(ctx, unnamedIndexes(w.inForce(), c)+";"+w.session.reset)
	if err == nil {
		left.read(c, rows)
		return left, nil
	}
	why := sqlState(err)
	if why == "" {
		return left, err
	}
	if _, rollback := w.session.askAll(ctx, "ROLLBACK", w.session.reset); rollback != nil || !strings.HasPrefix(why, "42") {
		return left, err // class 42 of PostgreSQL, appendix A: the statement cannot be tried like this
	}
	w.log.Warn("an earlier attempt may have made this index, and nothing tells: compare the table's indexes afterwards, and name them in files",
		"file", w.migration.Up.Path, "line", st.Line, "table", c.Table, "error", err)
	return left, nil
}

// unnamedIndexes finds the indexes of the statement's table that are what the statement makes, those in use last.
func unnamedIndexes(settings string, c migrations.Concurrent) string {
	unique := ""
	if c.Unique {
		unique = "UNIQUE "
	}
	const definition = "pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(%[1]s.indexrelid), '^.*? USING ', '')"
	return fmt.Sprintf(`BEGIN;%s
CREATE TEMP TABLE schemawave_trial (LIKE %s);
CREATE %sINDEX ON pg_temp.schemawave_trial %s
;%s AND EXISTS (SELECT FROM pg_catalog.pg_index trial WHERE trial.indrelid = 'pg_temp.schemawave_trial'::regclass
	AND trial.indisunique = x.indisunique AND %s = %s)
ORDER BY x.indisvalid;
ROLLBACK`, settings, c.Table, unique, c.Tail, indexesOf(c.Table), fmt.Sprintf(definition, "trial"), fmt.Sprintf(definition, "x"))
}
