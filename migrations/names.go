package migrations

import "strings"

// HasName reports whether name occurs in sql as an identifier or a key word, outside strings, dollar quotes and comments.
func HasName(sql, name string) bool {
	return anyToken(sql, func(t token, text string) bool {
		switch t.kind {
		case tokenWord:
			return strings.EqualFold(text, name)
		case tokenQuoted:
			meant, ok := unquote(text)
			return ok && meant == name
		}
		return false
	})
}

// HasLiteral reports whether text occurs within a string or a dollar quote of sql.
func HasLiteral(sql, text string) bool {
	return anyToken(sql, func(t token, literal string) bool {
		return (t.kind == tokenString || t.kind == tokenDollar) && strings.Contains(literal, text)
	})
}

func anyToken(sql string, match func(t token, text string) bool) bool {
	lex := lexer{src: sql}
	for t := lex.next(); t.kind != tokenEnd; t = lex.next() {
		if match(t, sql[t.start:t.end]) {
			return true
		}
	}
	return false
}
