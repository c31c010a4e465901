package migrations

import "strings"

// Redact returns sql with everything that may be data left out, on one line and in at most limit bytes: strings become
// '…', dollar-quoted bodies $$…$$, numbers ?, comments vanish. Names stay, so that a person still knows the statement.
func Redact(sql string, limit int) string {
	var b strings.Builder
	lex := lexer{src: sql}
	last, number := 0, false
	for t := lex.next(); t.kind != tokenEnd && b.Len() <= limit; t = lex.next() {
		if t.note() {
			continue
		}
		if b.Len() > 0 && t.start > last {
			b.WriteByte(' ')
		}
		glued := number && t.start == last && t.kind == tokenWord // what follows the digits of a hash is part of it
		last, number = t.end, t.kind == tokenNumber
		if glued {
			continue
		}
		switch t.kind {
		case tokenString:
			b.WriteString("'…'")
		case tokenDollar:
			b.WriteString("$$…$$")
		case tokenNumber:
			b.WriteByte('?')
		case tokenBackslash:
			b.WriteString(`\…`)
		case tokenQuoted:
			if t.open || strings.ContainsAny(sql[t.start:t.end], "\r\n") {
				b.WriteString(`"…"`)
				continue
			}
			b.WriteString(sql[t.start:t.end])
		default:
			b.WriteString(sql[t.start:t.end])
		}
	}
	const ellipsis = "…"
	switch {
	case b.Len() <= limit:
		return b.String()
	case limit < len(ellipsis):
		return ""
	}
	return cut(b.String(), limit-len(ellipsis))
}
