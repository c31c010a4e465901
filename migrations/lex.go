package migrations

import (
	"slices"
	"strings"
)

// tokenKind tells the lexical elements of PostgreSQL's SQL apart (PostgreSQL, "Lexical Structure").
type tokenKind uint8

const (
	tokenEnd       tokenKind = iota
	tokenWord                // key word or plain identifier
	tokenQuoted              // "identifier" or U&"identifier"
	tokenString              // '…', E'…', B'…', X'…', N'…', U&'…'
	tokenDollar              // $tag$…$tag$
	tokenNumber              // 12, 1.5, 1e9, 0x1F, 1_000
	tokenParam               // $1
	tokenSymbol              // any other single character: operators, parentheses, semicolons
	tokenLineNote            // -- to the end of the line
	tokenBlockNote           // /* … */, nested
	tokenBackslash           // a backslash where SQL knows none: a command of psql
)

// token is src[start:end]. open says that its end is missing: an unclosed quote or comment.
type token struct {
	kind       tokenKind
	start, end int
	open       bool
}

// note reports whether the token is a comment.
func (t token) note() bool { return t.kind == tokenLineNote || t.kind == tokenBlockNote }

// lexer cuts SQL into tokens the way the server's scanner does with standard_conforming_strings on, the default since
// PostgreSQL 9.1 and what package postgres sets for its sessions.
type lexer struct {
	src string
	pos int
}

// next returns the next token, comments included; tokenEnd at the end.
func (l *lexer) next() token {
	for l.pos < len(l.src) && isSpace(l.src[l.pos]) {
		l.pos++
	}
	t := token{start: l.pos}
	if l.pos >= len(l.src) {
		t.end = l.pos
		return t
	}
	t.kind, t.open = l.scan(l.src[l.pos])
	t.end = l.pos
	return t
}

// scan moves past the token that begins with c.
func (l *lexer) scan(c byte) (kind tokenKind, open bool) {
	rest := l.src[l.pos:]
	switch {
	case strings.HasPrefix(rest, "--"):
		l.skipLine()
		return tokenLineNote, false
	case strings.HasPrefix(rest, "/*"):
		return tokenBlockNote, l.skipBlock()
	case c == '\'':
		return tokenString, l.skipString(1, false)
	case c == '"':
		return tokenQuoted, l.skipQuoted('"', 1, false)
	case c == '$':
		return l.scanDollar()
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		l.skipNumber()
		return tokenNumber, false
	case isWordStart(c):
		return l.scanWord(rest)
	case c == '\\':
		l.skipLine()
		return tokenBackslash, false
	}
	l.pos++
	return tokenSymbol, false
}

// scanWord tells identifiers from strings that a letter introduces.
func (l *lexer) scanWord(rest string) (kind tokenKind, open bool) {
	if len(rest) > 1 && rest[1] == '\'' {
		switch rest[0] {
		case 'e', 'E':
			return tokenString, l.skipString(2, true)
		case 'b', 'B', 'x', 'X', 'n', 'N':
			return tokenString, l.skipString(2, false)
		}
	}
	if len(rest) > 2 && (rest[0] == 'u' || rest[0] == 'U') && rest[1] == '&' {
		switch rest[2] {
		case '\'':
			return tokenString, l.skipString(3, false)
		case '"':
			return tokenQuoted, l.skipQuoted('"', 3, false)
		}
	}
	for l.pos < len(l.src) && isWordPart(l.src[l.pos]) {
		l.pos++
	}
	return tokenWord, false
}

// scanDollar tells $1, $tag$…$tag$ and a stray dollar sign apart.
func (l *lexer) scanDollar() (kind tokenKind, open bool) {
	end := l.pos + 1
	if end < len(l.src) && isDigit(l.src[end]) {
		for end < len(l.src) && isDigit(l.src[end]) {
			end++
		}
		l.pos = end
		return tokenParam, false
	}
	for end < len(l.src) && isTagPart(l.src[end], end == l.pos+1) {
		end++
	}
	if end >= len(l.src) || l.src[end] != '$' {
		l.pos++
		return tokenSymbol, false
	}
	tag := l.src[l.pos : end+1]
	body := end + 1
	i := strings.Index(l.src[body:], tag)
	if i < 0 {
		l.pos = len(l.src)
		return tokenDollar, true
	}
	l.pos = body + i + len(tag)
	return tokenDollar, false
}

// skipString moves past a string and its continuations on following lines, which keep the meaning of backslashes.
func (l *lexer) skipString(prefix int, escapes bool) (open bool) {
	for {
		if l.skipQuoted('\'', prefix, escapes) {
			return true
		}
		next, ok := l.continuation()
		if !ok {
			return false
		}
		l.pos, prefix = next, 1
	}
}

// skipQuoted moves past a quoted token whose opening, prefix bytes long, stands at the current position.
func (l *lexer) skipQuoted(quote byte, prefix int, escapes bool) (open bool) {
	for i := l.pos + prefix; i < len(l.src); i++ {
		switch c := l.src[i]; {
		case c == '\\' && escapes:
			i++
		case c == quote && i+1 < len(l.src) && l.src[i+1] == quote:
			i++
		case c == quote:
			l.pos = i + 1
			return false
		}
	}
	l.pos = len(l.src)
	return true
}

// continuation returns where the string that has just ended goes on: after white space with at least one line break.
func (l *lexer) continuation() (pos int, ok bool) {
	at, broken := l.pos, false
	for at < len(l.src) {
		switch c := l.src[at]; {
		case c == '\n' || c == '\r':
			broken = true
			at++
		case isSpace(c):
			at++
		case strings.HasPrefix(l.src[at:], "--"):
			end := strings.IndexAny(l.src[at:], "\r\n")
			if end < 0 {
				return 0, false
			}
			at += end
		default:
			return at, broken && c == '\''
		}
	}
	return 0, false
}

func (l *lexer) skipLine() {
	if end := strings.IndexAny(l.src[l.pos:], "\r\n"); end >= 0 {
		l.pos += end
		return
	}
	l.pos = len(l.src)
}

func (l *lexer) skipBlock() (open bool) {
	depth := 0
	for i := l.pos; i+1 < len(l.src); i++ {
		switch l.src[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
		}
		if depth == 0 {
			l.pos = i + 1
			return false
		}
	}
	l.pos = len(l.src)
	return true
}

// skipNumber moves past digits, a fraction and an exponent, or past digits of another base. Underscores may divide the digits
// (PostgreSQL 16). Other letters glued to a number begin a word, as before PostgreSQL 15; later ones refuse them.
func (l *lexer) skipNumber() {
	if l.skipBased() {
		return
	}
	l.skipDigits(isDigit)
	if l.pos < len(l.src) && l.src[l.pos] == '.' && !strings.HasPrefix(l.src[l.pos:], "..") {
		l.pos++
		l.skipDigits(isDigit)
	}
	if rest := l.src[l.pos:]; len(rest) > 1 && (rest[0] == 'e' || rest[0] == 'E') {
		signed := len(rest) > 2 && (rest[1] == '+' || rest[1] == '-') && isDigit(rest[2])
		if signed || isDigit(rest[1]) {
			l.pos += 2
			l.skipDigits(isDigit)
		}
	}
}

// skipBased moves past a hexadecimal, octal or binary number, and reports whether there is one.
func (l *lexer) skipBased() bool {
	rest := l.src[l.pos:]
	if len(rest) < 3 || rest[0] != '0' {
		return false
	}
	var digit func(byte) bool
	switch rest[1] {
	case 'x', 'X':
		digit = isHexDigit
	case 'o', 'O':
		digit = isOctalDigit
	case 'b', 'B':
		digit = isBinaryDigit
	default:
		return false
	}
	if first := strings.TrimPrefix(rest[2:], "_"); first == "" || !digit(first[0]) {
		return false
	}
	l.pos += 2
	l.skipDigits(digit)
	return true
}

// skipDigits moves past digits, and past single underscores before a digit.
func (l *lexer) skipDigits(digit func(byte) bool) {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case digit(c):
			l.pos++
		case c == '_' && l.pos+1 < len(l.src) && digit(l.src[l.pos+1]):
			l.pos += 2
		default:
			return
		}
	}
}

func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHexDigit(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func isOctalDigit(c byte) bool { return c >= '0' && c <= '7' }

func isBinaryDigit(c byte) bool { return c == '0' || c == '1' }

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isWordPart(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }

func isTagPart(c byte, first bool) bool { return isWordStart(c) || !first && isDigit(c) }

// isKeyWord reports whether text is the key word, in upper or lower case. Any letter beyond ASCII that folds to one within
// is longer.
func isKeyWord(text, word string) bool {
	return len(text) == len(word) && strings.EqualFold(text, word)
}

// areKeyWords reports whether texts are these key words and no more.
func areKeyWords(texts []string, words ...string) bool {
	return slices.EqualFunc(texts, words, isKeyWord)
}
