package migrations

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRedact holds that the result fits, is no less UTF-8 than the input, and holds nothing that the input has only in
// literals and comments.
func FuzzRedact(f *testing.F) {
	for _, seed := range scripts {
		f.Add(seed, 400)
	}
	f.Add("INSERT INTO t VALUES ('hunter2', 12.5, $$x$$) -- y", 100)
	f.Add("ALTER ROLE app PASSWORD E'hunter2\\'' VALID UNTIL '2030-01-01'", 30)
	f.Add("SELECT 'ä", 9)
	f.Add(`"unclosed`, 20)
	f.Fuzz(func(t *testing.T, sql string, limit int) {
		limit = min(max(limit, 0), 1000)
		got := Redact(sql, limit)
		if len(got) > limit {
			t.Fatalf("%d bytes, limit %d", len(got), limit)
		}
		if utf8.ValidString(sql) && !utf8.ValidString(got) {
			t.Fatalf("%q is cut inside a character", got)
		}
		if strings.ContainsAny(got, "\r\n") {
			t.Fatalf("%q is more than one line", got)
		}
		for _, secret := range confidential(sql) {
			if strings.Contains(got, secret) {
				t.Fatalf("%q of %q is told: %q", secret, sql, got)
			}
		}
	})
}

// confidential lists the words that the text has in literals and comments and nowhere else; single characters and what is not
// UTF-8 may be in the result by chance.
func confidential(sql string) []string {
	var out []string
	public := names(sql)
	for _, t := range tokens(sql) {
		if !isData(t) {
			continue
		}
		for _, word := range strings.FieldsFunc(sql[t.start:t.end], func(r rune) bool { return strings.ContainsRune(`'"$?\…`, r) }) {
			if utf8.ValidString(word) && utf8.RuneCountInString(word) > 1 && !strings.Contains(public, word) {
				out = append(out, word)
			}
		}
	}
	return out
}

func isData(t token) bool {
	switch t.kind {
	case tokenWord, tokenSymbol, tokenParam:
		return false
	case tokenQuoted:
		return t.open
	}
	return true
}

// names is the text with blanks in place of its literals and comments.
func names(sql string) string {
	text := []byte(sql)
	for _, t := range tokens(sql) {
		if isData(t) {
			copy(text[t.start:t.end], strings.Repeat(" ", t.end-t.start))
		}
	}
	return string(text)
}

func tokens(sql string) []token {
	var out []token
	lex := lexer{src: sql}
	for t := lex.next(); t.kind != tokenEnd; t = lex.next() {
		out = append(out, t)
	}
	return out
}
