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
		return Locks{}
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
	case r.take("ADD") && r.foreignKey():
		mode = ShareRowExclusive
		l.refer(r)
	case r.take("VALIDATE", "CONSTRAINT"), r.take("CLUSTER", "ON"), r.take("SET", "WITHOUT", "CLUSTER"), r.take("SET", "("), r.take("RESET", "("):
		mode = ShareUpdateExclusive
	case r.take("ENABLE", "TRIGGER"), r.take("DISABLE", "TRIGGER"), r.take("ENABLE", "REPLICA", "TRIGGER"), r.take("ENABLE", "ALWAYS", "TRIGGER"):
		mode = ShareRowExclusive
	case strings.HasPrefix(all, " ALTER ") && (strings.Contains(all, " SET STATISTICS ") || strings.Contains(all, " SET ( ") || strings.Contains(all, " RESET ( ")):
		mode = ShareUpdateExclusive
	case r.take("ATTACH", "PARTITION"):
		l.add(AccessExclusive, r.name())
		l.Unseen = "the default partition"
		mode = ShareUpdateExclusive
	case r.take("DETACH", "PARTITION"):
		l.add(AccessExclusive, r.name())
		if strings.HasSuffix(all, " CONCURRENTLY ") || strings.HasSuffix(all, " FINALIZE ") {
			mode = ShareUpdateExclusive
		}
	case r.take("DROP", "CONSTRAINT"):
		l.Unseen = unseenForeign
	default:
		l.refer(r)
	}
	l.add(mode, table)
}

// foreignKey reports whether what ADD adds is a foreign key alone, as a constraint of the table.
func (r *reader) foreignKey() bool {
	if r.take("CONSTRAINT") {
		r.name()
	}
	return r.take("FOREIGN", "KEY")
}
