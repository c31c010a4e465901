package migrations

import (
	"slices"
	"strings"
)

// What Unseen says.
const (
	unseenCode      = "what the code does"
	unseenForeign   = "tables connected by foreign keys"
	unseenDropped   = "tables connected by foreign keys, and the one it is a partition of"
	unseenPartition = "the default partition, and tables connected by foreign keys"
	unseenDependent = "what depends on it"
	unseenEvery     = "every table there"
	unseenTable     = "the table could not be made out"
	unseenKind      = "this kind of statement is not known"
)

// Locks tells which tables the statement locks and how, from its text alone (PostgreSQL, "Explicit Locking" and the pages
// of the commands).
func (s Statement) Locks() Locks {
	r := &reader{sql: s.SQL, tokens: s.tokens}
	switch {
	case s.SetsSession(), r.takeAny("SET", "SAVEPOINT", "RELEASE", "ROLLBACK", "GRANT", "REVOKE", "NOTIFY", "LISTEN", "UNLISTEN"):
		return Locks{}
	case r.take("CREATE"):
		return r.createLocks()
	case r.take("ALTER"):
		return r.alterLocks()
	case r.take("DROP"):
		return r.dropLocks()
	case r.take("COMMENT", "ON"):
		return r.commentLocks()
	case r.take("INSERT", "INTO"), r.take("MERGE", "INTO"), r.take("UPDATE"), r.take("DELETE", "FROM"):
		return on(RowExclusive, r.table())
	case r.take("COPY"):
		if table := r.name(); table != "" && s.has("FROM") {
			return on(RowExclusive, table)
		}
		return Locks{}
	case r.take("TRUNCATE"):
		r.take("TABLE")
		l := on(AccessExclusive, r.tables()...)
		if s.ends("CASCADE") {
			l.Unseen = unseenForeign
		}
		return l
	case r.take("SELECT"), r.take("VALUES"), r.take("TABLE"):
		if slices.Contains(r.texts(), "(") {
			return Locks{Unseen: unseenCode}
		}
		return Locks{}
	case r.takeAny("DO", "CALL", "EXECUTE", "WITH"):
		return Locks{Unseen: unseenCode}
	}
	return r.maintenanceLocks()
}

// createLocks goes on after CREATE.
func (r *reader) createLocks() Locks {
	replaces := r.take("OR", "REPLACE")
	for r.takeAny("TEMPORARY", "TEMP", "UNLOGGED", "GLOBAL", "LOCAL", "UNIQUE", "CONSTRAINT", "RECURSIVE", "TRUSTED", "PROCEDURAL", "DEFAULT", "EVENT") {
	}
	switch {
	case r.take("TABLE"), r.take("FOREIGN", "TABLE"):
		return r.createTableLocks()
	case r.take("INDEX"):
		mode := Share
		if r.take("CONCURRENTLY") {
			mode = ShareUpdateExclusive
		}
		return on(mode, r.after("ON"))
	case r.take("TRIGGER"):
		return on(ShareRowExclusive, r.after("ON"))
	case r.take("RULE"):
		return on(AccessExclusive, r.after("TO"))
	case r.take("POLICY"):
		return on(AccessExclusive, r.after("ON"))
	case r.take("STATISTICS"):
		return on(ShareUpdateExclusive, r.after("FROM"))
	case r.take("VIEW"):
		if replaces {
			return on(AccessExclusive, r.name())
		}
		return Locks{}
	case r.take("EXTENSION"):
		return Locks{Unseen: "what the extension's script does"}
	case r.takeAny("MATERIALIZED", "SEQUENCE", "FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "DOMAIN", "SCHEMA", "ROLE", "USER", "GROUP", "DATABASE",
		"TABLESPACE", "PUBLICATION", "SUBSCRIPTION", "COLLATION", "CAST", "OPERATOR", "SERVER", "FOREIGN", "LANGUAGE", "TEXT", "CONVERSION", "TRANSFORM", "ACCESS"):
		return Locks{}
	}
	return Locks{Unseen: unseenKind}
}

// createTableLocks goes on after CREATE TABLE. The table itself is nobody else's yet.
func (r *reader) createTableLocks() Locks {
	r.take("IF", "NOT", "EXISTS")
	r.name()
	var l Locks
	if r.take("PARTITION", "OF") {
		l.Unseen = unseenPartition
		l.add(AccessExclusive, r.name())
	}
	l.refer(r)
	for r.skipTo("INHERITS") {
		if r.take("(") {
			l.add(ShareUpdateExclusive, r.tables()...)
		}
	}
	return l
}

// refer adds the tables that foreign keys in what follows refer to; they get triggers.
func (l *Locks) refer(r *reader) {
	rest := &reader{sql: r.sql, tokens: r.tokens}
	for rest.skipTo("REFERENCES") {
		l.add(ShareRowExclusive, rest.name())
	}
}

// dropLocks goes on after DROP.
func (r *reader) dropLocks() Locks {
	cascade := len(r.tokens) > 0 && strings.EqualFold(r.text(r.tokens[len(r.tokens)-1]), "CASCADE")
	l := Locks{}
	switch {
	case r.take("TABLE"), r.take("FOREIGN", "TABLE"):
		r.take("IF", "EXISTS")
		l = on(AccessExclusive, r.tables()...)
		l.Unseen = unseenDropped
	case r.take("INDEX"):
		mode := AccessExclusive
		if r.take("CONCURRENTLY") {
			mode = ShareUpdateExclusive
		}
		r.take("IF", "EXISTS")
		l.addIndexes(mode, r.tables()...)
	case r.take("VIEW"), r.take("MATERIALIZED", "VIEW"), r.take("SEQUENCE"):
		r.take("IF", "EXISTS")
		l = on(AccessExclusive, r.tables()...)
	case r.takeAny("TRIGGER", "RULE", "POLICY"):
		l = on(AccessExclusive, r.after("ON"))
	case r.takeAny("OWNED", "EXTENSION"):
		return Locks{Unseen: unseenDependent}
	}
	if cascade && l.Unseen == "" {
		l.Unseen = unseenDependent
	}
	return l
}

func (l *Locks) addIndexes(mode LockMode, indexes ...string) {
	for _, i := range indexes {
		if i == "" {
			l.Unseen = unseenTable
			continue
		}
		l.Tables = append(l.Tables, TableLock{Index: i, Mode: mode})
	}
}

// commentLocks goes on after COMMENT ON.
func (r *reader) commentLocks() Locks {
	switch {
	case r.take("TABLE"), r.take("VIEW"), r.take("MATERIALIZED", "VIEW"), r.take("FOREIGN", "TABLE"):
		return on(ShareUpdateExclusive, r.name())
	case r.take("COLUMN"):
		name := r.name()
		if dot := strings.LastIndexByte(name, '.'); dot > 0 {
			return on(ShareUpdateExclusive, name[:dot])
		}
		return on(ShareUpdateExclusive, "")
	}
	return Locks{}
}

// maintenanceLocks reads the commands that look after tables.
func (r *reader) maintenanceLocks() Locks {
	s := strings.ToUpper(strings.Join(r.texts(), " "))
	switch {
	case r.take("VACUUM"), r.take("ANALYZE"):
		full := r.options("FULL", "FREEZE", "VERBOSE", "ANALYZE")
		mode := ShareUpdateExclusive
		if full && strings.HasPrefix(s, "VACUUM") {
			mode = AccessExclusive
		}
		if len(r.tokens) == 0 {
			return Locks{Unseen: unseenEvery}
		}
		return on(mode, r.tables()...)
	case r.take("CLUSTER"):
		r.options("VERBOSE")
		if len(r.tokens) == 0 {
			return Locks{Unseen: unseenEvery}
		}
		name := r.name()
		if r.take("ON") { // the index came first
			name = r.name()
		}
		return on(AccessExclusive, name)
	case r.take("REFRESH", "MATERIALIZED", "VIEW"):
		if r.take("CONCURRENTLY") {
			return on(Exclusive, r.name())
		}
		return on(AccessExclusive, r.name())
	case r.take("REINDEX"):
		r.options("VERBOSE")
		return r.reindexLocks(strings.Contains(s, "CONCURRENTLY"))
	case r.take("LOCK"):
		r.take("TABLE")
		mode := r.lockMode(s)
		if mode == "" {
			return Locks{}
		}
		return on(mode, r.tables()...)
	}
	return Locks{Unseen: unseenKind}
}

// reindexLocks goes on after REINDEX. The index itself is locked in ACCESS EXCLUSIVE mode, which holds up whoever reads its table, for
// every query looks at all indexes.
func (r *reader) reindexLocks(concurrently bool) Locks {
	mode := AccessExclusive
	if concurrently {
		mode = ShareUpdateExclusive
	}
	object, rest := r.takeAny("INDEX"), Locks{}
	switch {
	case object:
		r.take("CONCURRENTLY")
		rest.addIndexes(mode, r.name())
		return rest
	case r.take("TABLE"):
		r.take("CONCURRENTLY")
		return on(mode, r.name())
	}
	return Locks{Unseen: unseenEvery}
}

// lockMode reads IN … MODE of a LOCK in upper case; "" is a mode that is left out of plans.
func (r *reader) lockMode(sql string) LockMode {
	for _, mode := range slices.Backward(lockModes()) {
		if strings.Contains(sql, " IN "+string(mode)+" MODE") {
			return mode
		}
	}
	if strings.Contains(sql, " IN ACCESS SHARE MODE") || strings.Contains(sql, " IN ROW SHARE MODE") {
		return ""
	}
	return AccessExclusive
}
