package migrations

import "strings"

// ConcurrentAction is what a statement that PostgreSQL carries out in several transactions of its own does.
type ConcurrentAction string

// The actions whose interruption leaves something behind.
const (
	CreateIndex     ConcurrentAction = "create index"     // an INVALID index
	DropIndex       ConcurrentAction = "drop index"       // an INVALID index
	ReindexIndex    ConcurrentAction = "reindex index"    // an INVALID index with the suffix _ccnew or _ccold
	ReindexTable    ConcurrentAction = "reindex table"    // several of them
	ReindexSchema   ConcurrentAction = "reindex schema"   // the same
	ReindexDatabase ConcurrentAction = "reindex database" // the same
	DetachPartition ConcurrentAction = "detach partition" // a partition whose detaching is pending
)

// Concurrent tells what a … CONCURRENTLY statement works on. Names are SQL, qualified and quoted as in the statement.
type Concurrent struct {
	Action ConcurrentAction
	Table  string // of CreateIndex, ReindexTable and DetachPartition
	Index  string // of CreateIndex (without a schema; empty if PostgreSQL is to choose), DropIndex and ReindexIndex
	Schema string // of ReindexSchema
	Child  string // the partition of DetachPartition
	Head   string // of a REINDEX: the statement up to the name
	Unique bool   // of CreateIndex
	Tail   string // of CreateIndex: the statement after the table's name
}

// Concurrent reads the statement; ok is false if it is no such statement or written in a way that is not understood.
func (s Statement) Concurrent() (c Concurrent, ok bool) {
	r := reader{sql: s.SQL, tokens: s.tokens}
	switch {
	case r.take("CREATE"):
		c.Unique = r.take("UNIQUE")
		if !r.take("INDEX", "CONCURRENTLY") {
			return c, false
		}
		c.Action = CreateIndex
		r.take("IF", "NOT", "EXISTS")
		if !r.take("ON") {
			c.Index = r.name()
			ok = r.take("ON")
		} else {
			ok = true
		}
		r.take("ONLY")
		if c.Table = r.name(); len(r.tokens) > 0 {
			c.Tail = r.sql[r.tokens[0].start:]
		}
		return c, ok && c.Table != ""
	case r.take("DROP", "INDEX", "CONCURRENTLY"):
		c.Action = DropIndex
		r.take("IF", "EXISTS")
		c.Index = r.name()
		return c, c.Index != ""
	case r.take("REINDEX"):
		return r.reindex()
	case r.take("ALTER", "TABLE") && s.ends("CONCURRENTLY"):
		c.Action = DetachPartition
		r.take("IF", "EXISTS")
		r.take("ONLY")
		c.Table = r.name()
		ok = r.take("DETACH", "PARTITION")
		c.Child = r.name()
		return c, ok && c.Table != "" && c.Child != ""
	}
	return c, false
}

// reader goes through a statement's tokens.
type reader struct {
	sql    string
	tokens []token
}

// take moves past the key words if they come next, all of them.
func (r *reader) take(words ...string) bool {
	if len(r.tokens) < len(words) {
		return false
	}
	for i, w := range words {
		if t := r.tokens[i]; t.kind == tokenQuoted || !isKeyWord(r.text(t), w) {
			return false
		}
	}
	r.tokens = r.tokens[len(words):]
	return true
}

func (r *reader) text(t token) string { return r.sql[t.start:t.end] }

// name moves past a name, qualified or not, and returns it as SQL; empty if none comes next, or one with Unicode escapes,
// which the server's own functions do not read.
func (r *reader) name() string {
	var b strings.Builder
	for len(r.tokens) > 0 && (r.tokens[0].kind == tokenWord || r.tokens[0].kind == tokenQuoted) {
		if _, plain := unquote(r.text(r.tokens[0])); r.tokens[0].kind == tokenQuoted && !plain {
			return ""
		}
		b.WriteString(r.text(r.tokens[0]))
		r.tokens = r.tokens[1:]
		if !r.take(".") {
			break
		}
		b.WriteByte('.')
	}
	return b.String()
}

// reindex reads what follows REINDEX.
func (r *reader) reindex() (c Concurrent, ok bool) {
	concurrently := r.optionValues().on("concurrently", false)
	object := func() string {
		concurrently = r.take("CONCURRENTLY") || concurrently
		if len(r.tokens) > 0 {
			c.Head = r.sql[:r.tokens[0].start]
		}
		return r.name()
	}
	switch {
	case r.take("INDEX"):
		c.Action, c.Index = ReindexIndex, object()
		ok = c.Index != ""
	case r.take("TABLE"):
		c.Action, c.Table = ReindexTable, object()
		ok = c.Table != ""
	case r.take("SCHEMA"):
		c.Action, c.Schema = ReindexSchema, object()
		ok = c.Schema != ""
	case r.take("DATABASE"):
		object() // it can only be the current one
		c.Action, ok = ReindexDatabase, true
	}
	return c, ok && concurrently
}

// Fold returns the name that an identifier written in SQL means: quotes removed, or else its ASCII letters in lower case.
func Fold(identifier string) string {
	if name, ok := unquote(identifier); ok {
		return name
	}
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, identifier)
}

// unquote returns what is quoted in "identifier"; ok is false for anything else, U&"identifier" too.
func unquote(identifier string) (name string, ok bool) {
	if len(identifier) < 2 || identifier[0] != '"' || identifier[len(identifier)-1] != '"' {
		return "", false
	}
	return strings.ReplaceAll(identifier[1:len(identifier)-1], `""`, `"`), true
}
