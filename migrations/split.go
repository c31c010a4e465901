package migrations

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Statement is one SQL statement of a script, without the semicolon and without the comments around it.
type Statement struct {
	SQL    string
	Offset int // of SQL within the script's text, in bytes
	Line   int // 1-based, in the file
	Column int // 1-based, in characters

	words  []string // its leading words, quoted identifiers and symbols, as written
	tokens []token  // offsets relative to SQL, without comments
}

// maxWords is how many leading tokens of a statement are kept to recognise it by.
const maxWords = 12

// Split cuts the script into statements, as the server would. Statements of white space and comments alone are left out.
// A quote or comment that never ends yields a Problem that says where it begins.
func (s Script) Split() ([]Statement, error) {
	var out []Statement
	err := s.split(&splitState{}, func(st Statement) bool {
		st.words, st.tokens = slices.Clone(st.words), slices.Clone(st.tokens)
		out = append(out, st)
		return true
	})
	return out, err
}

// split is Split for one statement after another, until each returns false. A statement's words and tokens are those of cur,
// whose space serves the next one again.
func (s Script) split(cur *splitState, each func(Statement) (more bool)) error {
	lex, place := lexer{src: s.SQL}, placer{script: s}
	cur.reset()
	flush := func() (more bool) {
		if len(cur.tokens) == 0 {
			return true
		}
		more = each(cur.statement(s.SQL, &place))
		cur.reset()
		return more
	}
	for {
		t := lex.next()
		switch {
		case t.kind == tokenEnd:
			flush()
			return nil
		case t.open:
			line, _ := s.At(t.start)
			return unclosed(s.Path, line, t.kind)
		case t.note():
		case cur.ends(s.SQL, t):
			if !flush() {
				return nil
			}
		default:
			cur.add(s.SQL, t)
		}
	}
}

// Pieces cuts the script between statements into texts of about size bytes, longer only where a statement is. Put together they are
// the script. One that cannot be divided, or need not be, is a single piece.
func (s Script) Pieces(size int) []string {
	if len(s.SQL) <= size {
		return []string{s.SQL}
	}
	var out []string
	start, end := 0, 0 // of the piece, and of its last statement
	err := s.split(&splitState{}, func(st Statement) bool {
		if st.Offset+len(st.SQL)-start > size && end > start {
			out = append(out, s.SQL[start:st.Offset])
			start = st.Offset
		}
		end = st.Offset + len(st.SQL)
		return true
	})
	if err != nil {
		return []string{s.SQL}
	}
	return append(out, s.SQL[start:])
}

// reset begins a statement.
func (st *splitState) reset() { *st = splitState{tokens: st.tokens[:0], words: st.words[:0]} }

// splitState is the statement that is being read.
type splitState struct {
	tokens  []token
	words   []string
	parens  int
	routine bool // CREATE FUNCTION or PROCEDURE: only there BEGIN ATOMIC opens a body
	atomic  bool // inside such a body
	opening int  // the token by which it began
	prev    string
}

// ends reports whether t is the semicolon that ends the statement: one that stands neither in parentheses
// (CREATE RULE … DO (a; b)) nor in the body of an SQL-standard function.
func (st *splitState) ends(src string, t token) bool {
	return t.kind == tokenSymbol && src[t.start] == ';' && st.parens == 0 && !st.atomic
}

func (st *splitState) add(src string, t token) {
	text := src[t.start:t.end]
	switch t.kind {
	case tokenWord:
		st.nest(text)
	case tokenSymbol:
		switch text {
		case "(":
			st.parens++
		case ")":
			st.parens = max(0, st.parens-1)
		}
	}
	st.tokens = append(st.tokens, t)
	st.prev = text
	if len(st.words) < maxWords && (t.kind == tokenWord || t.kind == tokenSymbol || t.kind == tokenQuoted) {
		st.words = append(st.words, text)
	}
}

// nest follows where the body of a function begins that is written as BEGIN ATOMIC … END, and where it ends. Each of its
// statements ends with a semicolon, so that any other END belongs to a CASE or is a name (gram.y, routine_body_stmt_list).
func (st *splitState) nest(word string) {
	switch {
	case isKeyWord(word, "FUNCTION") || isKeyWord(word, "PROCEDURE"):
		st.routine = st.routine || createsRoutine(st.words)
	case !st.routine:
	case isKeyWord(word, "ATOMIC") && isKeyWord(st.prev, "BEGIN") && st.parens == 0 && !st.atomic:
		st.atomic, st.opening = true, len(st.tokens)
	case isKeyWord(word, "END") && (st.prev == ";" || st.opening == len(st.tokens)-1):
		st.atomic = false
	}
}

// createsRoutine reports whether the words so far are CREATE or CREATE OR REPLACE.
func createsRoutine(words []string) bool {
	return areKeyWords(words, "CREATE") || areKeyWords(words, "CREATE", "OR", "REPLACE")
}

func (st *splitState) statement(src string, place *placer) Statement {
	start, end := st.tokens[0].start, st.tokens[len(st.tokens)-1].end
	for i := range st.tokens {
		st.tokens[i].start -= start
		st.tokens[i].end -= start
	}
	line, column := place.at(start)
	return Statement{SQL: src[start:end], Offset: start, Line: line, Column: column, words: st.words, tokens: st.tokens}
}

func unclosed(path string, line int, kind tokenKind) *Problem {
	what := map[tokenKind]string{
		tokenString: "string", tokenQuoted: "quoted identifier", tokenDollar: "dollar-quoted string", tokenBlockNote: "comment",
	}[kind]
	return &Problem{Kind: Unclosed, File: path, Line: line, What: what + " is never closed",
		Remedy: "close it; in plain strings a quote is doubled and a backslash is an ordinary character"}
}

// At returns the line and the column, both 1-based, of the byte at offset within the script's text. Columns count characters.
func (s Script) At(offset int) (line, column int) {
	p := placer{script: s}
	return p.at(offset)
}

// placer turns ascending offsets into places without reading the text twice.
type placer struct {
	script  Script
	offset  int
	lines   int // line breaks before offset
	columns int // characters between the last of them and offset
}

func (p *placer) at(offset int) (line, column int) {
	sql := p.script.SQL
	offset = min(max(offset, 0), len(sql))
	if offset < p.offset {
		p.offset, p.lines, p.columns = 0, 0, 0
	}
	passed := sql[p.offset:offset]
	if n := strings.Count(passed, "\n"); n > 0 {
		p.lines += n
		p.columns = 0
		passed = passed[strings.LastIndexByte(passed, '\n')+1:]
	}
	p.columns += utf8.RuneCountInString(passed)
	p.offset = offset
	return max(1, p.script.Line) + p.lines, 1 + p.columns
}
