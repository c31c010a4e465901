package migrations

import "slices"

// LockMode is how a statement locks a table (PostgreSQL, "Explicit Locking").
type LockMode string

// The modes that others feel, weakest first. ACCESS SHARE and ROW SHARE, which mere reading takes, are left out of plans.
const (
	RowExclusive         LockMode = "ROW EXCLUSIVE"
	ShareUpdateExclusive LockMode = "SHARE UPDATE EXCLUSIVE"
	Share                LockMode = "SHARE"
	ShareRowExclusive    LockMode = "SHARE ROW EXCLUSIVE"
	Exclusive            LockMode = "EXCLUSIVE"
	AccessExclusive      LockMode = "ACCESS EXCLUSIVE"
)

// lockModes lists them, weakest first.
func lockModes() []LockMode {
	return []LockMode{RowExclusive, ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive}
}

// Blocks says what nobody else can do with the table until the transaction ends; "" if applications do not notice.
func (m LockMode) Blocks() string {
	switch m {
	case AccessExclusive:
		return "reads and writes"
	case Share, ShareRowExclusive, Exclusive:
		return "writes"
	}
	return ""
}

// stronger returns the mode that comes later in the list.
func stronger(a, b LockMode) LockMode {
	if slices.Index(lockModes(), a) > slices.Index(lockModes(), b) {
		return a
	}
	return b
}

// TableLock is a lock that a statement takes, and that is held to the end of its transaction.
type TableLock struct {
	Table string // as written in the statement; empty if it names only an index
	Index string // whose table is locked, where Table is empty
	Mode  LockMode
	New   bool // the table is made earlier in the same plan, so that hardly anybody can be waiting for it
}

// Locks is what a statement locks. Partitions are locked along with the table they belong to.
type Locks struct {
	Tables []TableLock // each once, with its strongest lock
	Unseen string      // what else it may lock that its text does not tell; empty if nothing. Triggers and functions in expressions are not looked at.
}

// add adds a lock, or strengthens the one that is there.
func (l *Locks) add(mode LockMode, tables ...string) {
	for _, table := range tables {
		i := slices.IndexFunc(l.Tables, func(t TableLock) bool { return sameName(t.Table, table) })
		switch {
		case table == "":
			l.Unseen = unseenTable
		case i >= 0:
			l.Tables[i].Mode = stronger(l.Tables[i].Mode, mode)
		default:
			l.Tables = append(l.Tables, TableLock{Table: table, Mode: mode})
		}
	}
}

// on is Locks of one mode.
func on(mode LockMode, tables ...string) Locks {
	var l Locks
	l.add(mode, tables...)
	return l
}

// sameName reports whether two names as SQL are spelt differently at most.
func sameName(a, b string) bool { return foldName(a) == foldName(b) }

// foldName folds each part of a qualified name, and keeps the parts apart.
func foldName(name string) string {
	var b []byte
	lex := lexer{src: name}
	for t := lex.next(); t.kind != tokenEnd; t = lex.next() {
		if t.kind == tokenSymbol {
			b = append(b, 0)
			continue
		}
		b = append(b, Fold(name[t.start:t.end])...)
	}
	return string(b)
}
