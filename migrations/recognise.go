package migrations

import "strings"

// begins reports whether the statement's leading words are these.
func (s Statement) begins(words ...string) bool {
	return len(s.words) >= len(words) && areKeyWords(s.words[:len(words)], words...)
}

// has reports whether word is among the statement's own key words and identifiers, at any place.
func (s Statement) has(word string) bool {
	for _, t := range s.tokens {
		if t.kind == tokenWord && isKeyWord(s.SQL[t.start:t.end], word) {
			return true
		}
	}
	return false
}

// ends reports whether the statement's last word is this.
func (s Statement) ends(word string) bool {
	t := s.tokens[len(s.tokens)-1]
	return isKeyWord(s.SQL[t.start:t.end], word)
}

// ControlsTransaction returns the word by which the statement begins or ends a transaction, and "" if it does not.
// Savepoints are allowed: they live inside the transaction that the runner opens.
func (s Statement) ControlsTransaction() string {
	for _, word := range []string{"BEGIN", "COMMIT", "END", "ABORT"} {
		if s.begins(word) {
			return word
		}
	}
	switch {
	case s.begins("START", "TRANSACTION"):
		return "START TRANSACTION"
	case s.begins("PREPARE", "TRANSACTION", "AS"), s.begins("PREPARE", "TRANSACTION", "("): // a prepared statement of that name
	case s.begins("PREPARE", "TRANSACTION"):
		return "PREPARE TRANSACTION"
	case s.begins("ROLLBACK") && !s.has("TO"):
		return "ROLLBACK"
	}
	return ""
}

// SetsSession reports whether the statement changes nothing but settings of its session, as SET and RESET do. It has to
// be run again when a half-applied file is resumed.
func (s Statement) SetsSession() bool {
	if s.begins("RESET") {
		return true
	}
	return s.begins("SET") && !s.begins("SET", "LOCAL") && !s.begins("SET", "CONSTRAINTS") && !s.begins("SET", "TRANSACTION")
}

// Resets returns the setting, in lower case, that the statement puts back to what it was when the session began; "all" if all are, and
// "" if none is.
func (s Statement) Resets() string {
	r := reader{sql: s.SQL, tokens: s.tokens}
	reset := r.take("RESET")
	if !reset && !r.take("SET") {
		return ""
	}
	if !reset {
		r.takeAny("SESSION", "LOCAL")
	}
	name := "timezone"
	if !r.take("TIME", "ZONE") {
		name = strings.ToLower(Fold(r.name()))
		r.takeAny("TO", "=")
	}
	if reset || r.take("DEFAULT") || name == "timezone" && r.take("LOCAL") {
		return name
	}
	return ""
}

// PreparesStatement reports whether the statement is a PREPARE, which no transaction takes back and which the session keeps.
func (s Statement) PreparesStatement() bool {
	return s.begins("PREPARE") && s.ControlsTransaction() == ""
}

// MayCommit reports whether the statement may commit by itself, where it is not in a transaction, as CALL and DO may.
func (s Statement) MayCommit() bool { return s.begins("CALL") || s.begins("DO") }

// copiesFromStdin reports whether the statement is a COPY that waits for data of the client.
func (s Statement) copiesFromStdin() bool {
	if !s.begins("COPY") {
		return false
	}
	for i := 1; i < len(s.tokens); i++ {
		a, b := s.tokens[i-1], s.tokens[i]
		if a.kind == tokenWord && b.kind == tokenWord &&
			isKeyWord(s.SQL[a.start:a.end], "FROM") && isKeyWord(s.SQL[b.start:b.end], "STDIN") {
			return true
		}
	}
	return false
}

// endsSession returns what the statement does to the runner's own session, and "" if it leaves it alone.
func (s Statement) endsSession() string {
	switch {
	case s.begins("DISCARD", "ALL"):
		return "DISCARD ALL releases the runner's lock"
	case s.has("pg_advisory_unlock_all"):
		return "pg_advisory_unlock_all() releases the runner's lock"
	case s.SetsSession() && s.has("standard_conforming_strings") && !s.ends("on") && !s.begins("RESET"):
		return "standard_conforming_strings decides what the strings of this very file mean"
	case s.SetsSession() && (s.has("client_encoding") || s.begins("SET", "NAMES")) && !s.begins("RESET") && !s.setsUTF8():
		return "client_encoding decides how this very file is read, which is UTF-8"
	}
	return ""
}

// setsUTF8 reports whether the last word of the statement names the encoding UTF8, in a spelling that PostgreSQL knows.
func (s Statement) setsUTF8() bool {
	t := s.tokens[len(s.tokens)-1]
	switch strings.ToLower(strings.Trim(s.SQL[t.start:t.end], `'"`)) {
	case "utf8", "utf-8", "unicode", "default":
		return true
	}
	return false
}

// setsIsolation reports whether the statement is one that PostgreSQL wants to be the first of a transaction.
func (s Statement) setsIsolation() bool {
	return s.begins("SET", "TRANSACTION") && (s.has("ISOLATION") || s.has("SNAPSHOT"))
}
