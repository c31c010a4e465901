package migrations

import "strings"

// alterLocks goes on after ALTER.
func (r *reader) alterLocks() Locks {
	switch {
	case r.take("TABLE"), r.take("FOREIGN", "TABLE"):
		if r.take("ALL", "IN", "TABLESPACE") {
			return Locks{Unseen: unseenEvery}
		}
		r.take("IF", "EXISTS")
		table := r.table()
		var l Locks
		for action := range r.actions() {
			action.alterTableLocks(table, &l)
		}
		return l
	case r.take("INDEX"):
		r.take("IF", "EXISTS")
		return Locks{Unseen: "index " + r.name()}
	case r.take("VIEW"), r.take("MATERIALIZED", "VIEW"):
		r.take("IF", "EXISTS")
		return on(AccessExclusive, r.name())
	case r.take("SEQUENCE"):
		r.take("IF", "EXISTS")
		name, mode := r.name(), ShareRowExclusive // what draws a number from it waits
		if r.takeAny("OWNER", "RENAME", "SET") {
			mode = AccessExclusive
		}
		return on(mode, name)
	case r.takeAny("TRIGGER", "POLICY", "RULE"):
		return on(AccessExclusive, r.after("ON"))
	case r.takeAny("DOMAIN", "TYPE", "EXTENSION"):
		return Locks{Unseen: "tables that use it"}
	}
	return Locks{}
}

// alterTableLocks adds what one action of ALTER TABLE locks (PostgreSQL, "ALTER TABLE": ACCESS EXCLUSIVE, unless the action
// says otherwise).
func (r *reader) alterTableLocks(table string, l *Locks) {
	all := strings.ToUpper(" " + strings.Join(r.texts(), " ") + " ")
	mode := AccessExclusive
	switch {
	case r.connects():
		l.Unseen = unseenForeign
	case r.take("ADD") && r.foreignKey():
		mode = ShareRowExclusive
		l.refer(r)
	case r.take("VALIDATE", "CONSTRAINT"), r.take("CLUSTER", "ON"), r.take("SET", "WITHOUT", "CLUSTER"):
		mode = ShareUpdateExclusive
	case r.take("SET", "("), r.take("RESET", "("):
		if !strings.Contains(all, " USER_CATALOG_TABLE ") {
			mode = ShareUpdateExclusive
		}
	case r.take("ENABLE", "TRIGGER"), r.take("DISABLE", "TRIGGER"), r.take("ENABLE", "REPLICA", "TRIGGER"), r.take("ENABLE", "ALWAYS", "TRIGGER"):
		mode = ShareRowExclusive
	case strings.HasPrefix(all, " ALTER ") && (strings.Contains(all, " SET STATISTICS ") || strings.Contains(all, " SET ( ") || strings.Contains(all, " RESET ( ")):
		mode = ShareUpdateExclusive
	case r.take("ATTACH", "PARTITION"):
		l.add(AccessExclusive, r.name())
		l.Unseen = unseenPartition
		mode = ShareUpdateExclusive
	case r.take("DETACH", "PARTITION"):
		l.add(AccessExclusive, r.name())
		l.Unseen = unseenPartition
		if strings.HasSuffix(all, " CONCURRENTLY ") || strings.HasSuffix(all, " FINALIZE ") {
			mode = ShareUpdateExclusive
		}
	default:
		l.refer(r)
	}
	l.add(mode, table)
}

// connects reports whether an action may concern the other table of a foreign key: it drops a column or a constraint, or changes a
// column's type.
func (r *reader) connects() bool {
	rest := &reader{sql: r.sql, tokens: r.tokens}
	if rest.take("DROP") {
		return true
	}
	if !rest.take("ALTER") {
		return false
	}
	rest.take("COLUMN")
	rest.name()
	return rest.take("TYPE") || rest.take("SET", "DATA", "TYPE")
}

// foreignKey reports whether what ADD adds is a foreign key alone, as a constraint of the table.
func (r *reader) foreignKey() bool {
	if r.take("CONSTRAINT") {
		r.name()
	}
	return r.take("FOREIGN", "KEY")
}
