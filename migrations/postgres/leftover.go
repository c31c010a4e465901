package postgres

import (
	"context"
	"fmt"

	"github.com/schemawave/schemawave/migrations"
)

// leftover is what the catalogue shows of a statement's object before the statement is tried.
type leftover struct {
	action   migrations.ConcurrentAction // empty for other statements than … CONCURRENTLY
	makes    bool                        // the statement makes the object
	removes  bool                        // the statement removes it; if neither, nothing tells whether it was carried out
	rebuilds bool                        // it rebuilds indexes
	exists   bool                        // the object: an index, a partition's attachment, a database, …
	invalid  bool                        // the index exists, but no query uses it
	building bool                        // … because another session is building it right now
	patient  bool                        // the statement may wait as long as it likes: nobody waits behind it
	garbage  []string                    // qualified names of indexes that only a dead attempt can have left
	instead  []string                    // statements that do what remains to be done; none: the statement itself
	outwait  string                      // selects transactions whose end is to be awaited before; may be empty
}

// isDone reports whether an attempt of unknown end has in fact succeeded. existed is what was there before it.
func (l leftover) isDone(existed bool) bool {
	return l.makes && l.exists && !l.invalid && !existed || l.removes && !l.exists && existed
}

// inspect looks up the object of a statement, with the file's own settings (its search_path) in force.
//
// Building or dropping an index CONCURRENTLY takes only locks that others' reads and writes go along with, and then waits for
// old transactions without standing in a queue (PostgreSQL, CREATE INDEX, "Building Indexes Concurrently"; "Explicit Locking",
// "Table-Level Locks"). So does REINDEX CONCURRENTLY, unless it begins at a partitioned table or index: then it queues for
// SHARE locks on all of its partitions, and writers wait behind it (ReindexPartitions in PostgreSQL's commands/indexcmds.c).
// That is why the partitions are rebuilt one by one instead.
//
// DETACH PARTITION … CONCURRENTLY waits for the transactions that use the table, and FINALIZE for all that have a snapshot, with
// ACCESS EXCLUSIVE on the partition already; both queue for that lock (PostgreSQL, ALTER TABLE; ATExecDetachPartitionFinalize in
// commands/tablecmds.c). They are begun when those transactions have ended, so that they need not wait long.
//
// triedBefore says that this migration has tried the statement before: what nobody has named is looked for only then.
func (w *walk) inspect(ctx context.Context, st migrations.Statement, triedBefore bool) (leftover, error) {
	what := st.NonTransactional()
	left := leftover{patient: what == "CREATE INDEX CONCURRENTLY" || what == "DROP INDEX CONCURRENTLY"}
	c, concurrent := st.Concurrent()
	e, lasting := st.Effect()
	if !concurrent && !lasting {
		return left, nil
	}
	left.action = c.Action
	left.makes = c.Action == migrations.CreateIndex || lasting && !e.Removes
	left.removes = c.Action == migrations.DropIndex || c.Action == migrations.DetachPartition || e.Removes
	if c.Action == migrations.CreateIndex && c.Index == "" {
		if triedBefore {
			return w.inspectUnnamed(ctx, c, st, left)
		}
		return left, nil
	}
	var sql string
	switch c.Action {
	case "":
		sql = affected(e)
	case migrations.CreateIndex:
		sql = createdIndex(c)
	case migrations.DropIndex:
		sql = "SELECT 1 WHERE " + regclass(c.Index) + " IS NOT NULL"
	case migrations.ReindexIndex, migrations.ReindexTable, migrations.ReindexSchema, migrations.ReindexDatabase:
		sql = reindexed(c)
	case migrations.DetachPartition:
		sql = fmt.Sprintf("SELECT inhdetachpending, inhparent FROM pg_catalog.pg_inherits WHERE inhparent = %s AND inhrelid = %s", regclass(c.Table), regclass(c.Child))
	}
	rows, err := w.session.ask(ctx, w.inForce()+sql+";"+w.session.reset)
	if err != nil {
		return leftover{}, err
	}
	left.read(c, rows)
	return left, nil
}

// read takes in what the catalogue answered.
func (l *leftover) read(c migrations.Concurrent, rows [][][]byte) {
	for _, row := range rows {
		l.exists = true
		switch c.Action {
		case migrations.CreateIndex:
			l.invalid, l.building = string(row[1]) == "f", string(row[2]) == "t"
			if l.invalid {
				l.garbage = append(l.garbage, string(row[0]))
			}
		case migrations.DetachPartition:
			if l.outwait = usersOf(string(row[1])); string(row[0]) == "t" {
				l.instead = []string{fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", c.Table, c.Child)}
				l.outwait = withSnapshot
			}
		case migrations.ReindexIndex, migrations.ReindexTable, migrations.ReindexSchema, migrations.ReindexDatabase:
			l.rebuilds = true
			switch what, name := string(row[0]), string(row[1]); what {
			case "whole":
				if l.patient = name == "false"; !l.patient {
					l.outwait = withSnapshot
				}
			case "partition":
				l.instead, l.patient, l.outwait = append(l.instead, c.Head+name), true, ""
			case "copy":
				l.garbage = append(l.garbage, name)
			}
		}
	}
}

// affected finds what a statement makes or removes as a whole. Names are cut as the server cuts them.
func affected(e migrations.Effect) string {
	switch e.Object {
	case "DATABASE":
		return fmt.Sprintf("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s::name", literal(e.Name))
	case "TABLESPACE":
		return fmt.Sprintf("SELECT 1 FROM pg_catalog.pg_tablespace WHERE spcname = %s::name", literal(e.Name))
	}
	sql := fmt.Sprintf(`SELECT 1 FROM pg_catalog.pg_subscription WHERE subname = %s::name
AND subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`, literal(e.Name))
	for _, publication := range e.Publications {
		sql += fmt.Sprintf(" AND %s = ANY (subpublications)", literal(publication))
	}
	return sql
}

// createdIndex finds the index that CREATE INDEX CONCURRENTLY is to make.
func createdIndex(c migrations.Concurrent) string {
	return indexesOf(c.Table) + " AND i.relname = " + literal(migrations.Fold(c.Index))
}

// indexesOf finds a table's indexes, whether each is valid and whether it is being built. What a session of another role builds is
// not shown (PostgreSQL, "Viewing Statistics"), but that it builds something is, and that it has the table's lock meanwhile.
func indexesOf(table string) string {
	return fmt.Sprintf(`SELECT pg_catalog.format('%%I.%%I', n.nspname, i.relname), x.indisvalid,
EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p JOIN pg_catalog.pg_locks l ON l.pid = p.pid AND l.database = p.datid
	WHERE l.relation = x.indrelid AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted AND coalesce(nullif(p.index_relid, 0) = i.oid, true))
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = i.relnamespace
WHERE x.indrelid = %s`, regclass(table))
}

// reindexed tells whether REINDEX begins at something partitioned ("whole"), names its partitions ("partition") if the role may
// rebuild each of them by itself (for the statement, it is enough to own the whole), and finds the invalid copies ("copy") that an
// interrupted REINDEX CONCURRENTLY has left (PostgreSQL, REINDEX, "Rebuilding Indexes Concurrently"), of indexes of the tables
// and of what is TOASTed from them. A session that is rebuilding an index right now holds a lock on the copy from its beginning to
// its end; pg_stat_progress_create_index, which names only one of a session's indexes at a time, does not show all that are being built.
func reindexed(c migrations.Concurrent) string {
	whole := "NULL" // of a schema or the database, tables are rebuilt one by one, and only those that are not partitioned
	if name := c.Table + c.Index; name != "" {
		whole = regclass(name)
	}
	return fmt.Sprintf(`WITH whole AS (SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('p', 'I') AND oid = %s),
parts AS (SELECT pg_catalog.format('%%I.%%I', n.nspname, t.relname) AS name,
	pg_catalog.pg_has_role(t.relowner, 'USAGE') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS may
FROM whole, pg_catalog.pg_partition_tree(whole.oid) AS tree JOIN pg_catalog.pg_class t ON t.oid = tree.relid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE tree.isleaf AND t.relkind IN ('r', 'i')),
touched AS (SELECT t.oid, t.reltoastrelid FROM pg_catalog.pg_class t WHERE %s)
SELECT 'whole', EXISTS (SELECT FROM whole)::text
UNION ALL SELECT 'partition', name FROM parts WHERE (SELECT pg_catalog.bool_and(may) FROM parts)
UNION ALL SELECT 'copy', pg_catalog.format('%%I.%%I', n.nspname, i.relname)
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = i.relnamespace
WHERE x.indrelid IN (SELECT oid FROM touched UNION SELECT reltoastrelid FROM touched) AND NOT x.indisvalid AND i.relname ~ '_cc(new|old)[0-9]*$'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
	WHERE d.datname = pg_catalog.current_database() AND l.relation = i.oid AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted)
AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.oid)`, whole, reindexedTables(c))
}

// reindexedTables is the condition that REINDEX works on table t.
func reindexedTables(c migrations.Concurrent) string {
	switch c.Action {
	case migrations.ReindexIndex:
		return fmt.Sprintf("t.oid IN (SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid IN (%s))", withPartitions(c.Index))
	case migrations.ReindexTable:
		return fmt.Sprintf("t.oid IN (%s)", withPartitions(c.Table))
	case migrations.ReindexSchema:
		return fmt.Sprintf("t.relnamespace = pg_catalog.to_regnamespace(%s)", literal(c.Schema))
	}
	return "true" // all of the database
}

// withPartitions selects a table or an index and its partitions at every level.
func withPartitions(name string) string {
	return fmt.Sprintf("SELECT %[1]s::oid UNION SELECT relid FROM pg_catalog.pg_partition_tree(%[1]s)", regclass(name))
}

// regclass is the relation of that name, or NULL.
func regclass(name string) string { return "pg_catalog.to_regclass(" + literal(name) + ")" }

// clean drops what a dead attempt has left. An INVALID index in the place of the one to create goes in any case: nobody
// uses it, writes pay for it, and IF NOT EXISTS would take it for the real one. Copies of a REINDEX go only after an
// attempt of this migration's own; one that the role may not drop does not stop the migration.
func (w *walk) clean(ctx context.Context, left leftover, triedBefore bool) error {
	if left.building {
		e := fail(migrations.ExitBusy, "index "+left.garbage[0]+" is being built by another session", "wait for it, then run this again")
		e.Failure.File = w.migration.Up.Path
		return e
	}
	if left.action != migrations.CreateIndex && !triedBefore {
		return nil
	}
	for _, index := range left.garbage {
		w.log.Warn("dropping the invalid index that an interrupted attempt has left", "index", index, "file", w.migration.Up.Path)
		err := w.drop(ctx, index)
		if left.action != migrations.CreateIndex && sqlState(err) == "42501" {
			w.log.Warn("the role may not drop it, as none but a superuser may in schema pg_toast: writes go on paying for it until it is dropped",
				"index", index, "do", "DROP INDEX CONCURRENTLY "+index)
			_, err = w.session.ask(ctx, w.session.reset)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// drop drops an index that no query uses, as the role that the file sets. It waits as long as others' transactions last, and
// they do not wait for it.
func (w *walk) drop(ctx context.Context, index string) error {
	if w.lock.overdue() { // and another runner may be building it
		return leaseLost()
	}
	if !w.session.pooled {
		if _, err := w.session.ask(ctx, "SET lock_timeout TO 0;"+w.inForce()); err != nil {
			return err
		}
	}
	_, err := w.session.askAll(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+index, w.session.reset)
	return err
}
