package migrations

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// checkText reports bytes that PostgreSQL cannot take as SQL text in UTF-8.
func checkText(path, text string) *Problem {
	if i := strings.IndexByte(text, 0); i >= 0 {
		return &Problem{Kind: NotText, File: path, Line: lineOf(text, i), What: "holds a NUL byte",
			Remedy: "save it as UTF-8; UTF-16 has NUL bytes in every word"}
	}
	if utf8.ValidString(text) {
		return nil
	}
	i := 0
	for i < len(text) {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return &Problem{Kind: NotText, File: path, Line: lineOf(text, i), What: fmt.Sprintf("byte 0x%02X is not UTF-8", text[i]),
		Remedy: "save it as UTF-8"}
}

func lineOf(text string, offset int) int { return 1 + strings.Count(text[:offset], "\n") }

// checkUp examines the statements of a migration that would be applied, and decides whether it runs outside a transaction.
// explicit says that its author asked for that.
func checkUp(s Script, explicit bool, cur *splitState, found *problems) (noTransaction bool) {
	var m mixture
	var lost problems // what would be, outside a transaction
	empty, copying := true, false
	err := s.split(cur, func(st Statement) bool {
		empty = false
		m.add(st)
		if p := checkAlone(st); p != nil {
			p.File, p.Line = s.Path, st.Line
			lost.add(p)
		}
		if p := checkStatement(st); p != nil {
			p.File, p.Line = s.Path, st.Line
			found.add(p)
			copying = p.Kind == CopyFromStdin
		}
		return !copying // what follows is data, not SQL
	})
	if copying {
		return explicit
	}
	if p, ok := err.(*Problem); ok {
		found.add(p)
		return explicit
	}
	if empty {
		found.add(&Problem{Kind: Empty, File: s.Path, What: "holds no statement to apply",
			Remedy: "write one, or delete the file; a deliberate no-op is SELECT 1;"})
	}
	noTransaction = explicit || m.check(s.Path, found)
	if noTransaction {
		*found = append(*found, lost...)
	}
	return noTransaction
}

// CheckRevert examines a script that reverts a migration, as Load examines those that apply one: it is to run in one
// transaction, unless every statement of it needs to be outside. Its errors are of type *Problem or *LoadError.
func (s Script) CheckRevert() (noTransaction bool, err error) {
	var found problems
	noTransaction = checkUp(s, false, &splitState{}, &found)
	for _, p := range found {
		switch p.Kind {
		case Mixed:
			p.Remedy = "move one or the other into the script of another migration"
		case TransactionWords:
			p.Remedy = "delete it: the script already runs in a transaction of its own"
		}
	}
	return noTransaction, found.err()
}

func checkStatement(st Statement) *Problem {
	for _, t := range st.tokens {
		if t.kind == tokenBackslash {
			return &Problem{Kind: PsqlCommand, What: fmt.Sprintf("%s is a command of psql, not SQL", firstField(st.SQL[t.start:t.end])),
				Remedy: "write the SQL itself; includes and variables of psql have no counterpart here"}
		}
	}
	if st.copiesFromStdin() {
		return &Problem{Kind: CopyFromStdin, What: "COPY … FROM STDIN takes its data from the client, which a migration cannot be",
			Remedy: "write INSERT statements, as pg_dump --inserts does"}
	}
	if w := st.ControlsTransaction(); w != "" {
		return &Problem{Kind: TransactionWords, What: w + " would end or split the transaction that records this migration",
			Remedy: "delete it: every file already runs in a transaction of its own; a file that must not says -- schemawave: no-transaction"}
	}
	if st.setsIsolation() {
		return &Problem{Kind: TransactionWords, What: "the isolation level cannot be set here: the transaction has already recorded this migration",
			Remedy: "delete it, and set default_transaction_isolation in the connection URL, or for the role"}
	}
	if what := st.endsSession(); what != "" {
		return &Problem{Kind: SessionState, What: what, Remedy: "delete the statement; every migration starts with fresh settings"}
	}
	return nil
}

// checkAlone refuses what would silently have no effect in a file whose statements run one by one, each in a clean session.
func checkAlone(st Statement) *Problem {
	const clean = "each statement of a file without a transaction begins in a clean session"
	switch {
	case st.begins("SET", "LOCAL"):
		return &Problem{Kind: SessionState, What: "SET LOCAL has no effect on what follows: " + clean,
			Remedy: "write SET: what it sets holds to the end of the file, and no longer"}
	case st.begins("SELECT") && st.has("set_config"):
		return &Problem{Kind: SessionState, What: "set_config() has no effect on what follows: " + clean,
			Remedy: "write SET: what it sets holds to the end of the file, and no longer"}
	case st.begins("LOCK"):
		return &Problem{Kind: SessionState, What: "LOCK holds no longer than its own statement: " + clean,
			Remedy: "delete it, or move what needs the lock into a file that runs in a transaction"}
	}
	return nil
}

// mixture remembers the first statement that cannot run in a transaction, and the first one that expects one.
type mixture struct {
	alone           string // what the former is; empty if there is none
	at, expectation int    // their lines; 0 if there is none
}

func (m *mixture) add(st Statement) {
	if st.SetsSession() {
		return
	}
	switch alone := st.NonTransactional(); {
	case alone != "" && m.alone == "":
		m.alone, m.at = alone, st.Line
	case alone == "" && m.expectation == 0:
		m.expectation = st.Line
	}
}

// check refuses a file of which only some statements can run in a transaction: if a later one failed, the file would be half
// applied. Its author can accept that explicitly.
func (m *mixture) check(path string, found *problems) (noTransaction bool) {
	if m.alone != "" && m.expectation > 0 {
		found.add(&Problem{Kind: Mixed, File: path, Line: m.at,
			What: fmt.Sprintf("%s cannot run in a transaction, but line %d expects one", m.alone, m.expectation),
			Remedy: "move it into a file of its own, or accept a half-applied file on failure with -- schemawave: no-transaction " +
				"in the first line"})
	}
	return m.alone != ""
}

func firstField(s string) string {
	for i := range len(s) {
		if isSpace(s[i]) {
			return s[:i]
		}
	}
	return s
}
