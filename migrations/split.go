package migrations

import (
	"strings"
	"unicode/utf8"
)

// Statement is one SQL statement of a script, without the semicolon and without the comments around it.
type Statement struct {
	SQL    string
	Offset int // of SQL within the script's text, in bytes
	Line   int // 1-based, in the file
	Column int // 1-based, in characters

	words  []string // its leading words and symbols, in upper case; quoted identifiers as written
	tokens []token  // offsets relative to SQL, without comments
}

// maxWords is how many leading tokens of a statement are kept to recognise it by.
const maxWords = 12

// Split cuts the script into statements, as the server would. Statements of white space and comments alone are left out.
// A quote or comment that never ends yields a Problem that says where it begins.
func (s Script) Split() ([]Statement, error) {
	var (
		out   []Statement
		cur   splitState
		lex   = lexer{src: s.SQL}
		place = placer{script: s}
	)
	flush := func() {
		if len(cur.tokens) > 0 {
			out = append(out, cur.statement(s.SQL, &place))
		}
		cur = splitState{}
	}
	for {
		t := lex.next()
		switch {
		case t.kind == tokenEnd:
			flush()
			return out, nil
		case t.open:
			line, _ := s.At(t.start)
			return out, unclosed(s.Path, line, t.kind)
		case t.note():
		case cur.ends(s.SQL, t):
			flush()
		default:
			cur.add(s.SQL, t)
		}
	}
}

// splitState is the statement that is being read.
type splitState struct {
	tokens  []token
	words   []string
	parens  int
	atomic  int  // depth of BEGIN ATOMIC … END, CASE … END inside it included
	routine bool // CREATE FUNCTION or PROCEDURE: only there BEGIN ATOMIC opens a body
	prev    string
}

// ends reports whether t is the semicolon that ends the statement: one that stands neither in parentheses
// (CREATE RULE … DO (a; b)) nor in the body of an SQL-standard function.
func (st *splitState) ends(src string, t token) bool {
	return t.kind == tokenSymbol && src[t.start] == ';' && st.parens == 0 && st.atomic == 0
}

func (st *splitState) add(src string, t token) {
	text := src[t.start:t.end]
	word := text
	switch t.kind {
	case tokenWord:
		word = strings.ToUpper(text)
		st.nest(word)
	case tokenSymbol:
		switch text {
		case "(":
			st.parens++
		case ")":
			st.parens = max(0, st.parens-1)
		}
	}
	st.tokens = append(st.tokens, t)
	if len(st.words) < maxWords && (t.kind == tokenWord || t.kind == tokenSymbol || t.kind == tokenQuoted) {
		st.words = append(st.words, word)
	}
	st.prev = word
}

// nest follows the depth of a function body that is written as BEGIN ATOMIC … END. After AS or a dot a key word is a name.
func (st *splitState) nest(word string) {
	if word == "FUNCTION" || word == "PROCEDURE" {
		st.routine = st.routine || createsRoutine(st.words)
	}
	if !st.routine || st.prev == "AS" || st.prev == "." {
		return
	}
	switch {
	case word == "ATOMIC" && st.prev == "BEGIN" && st.atomic == 0:
		st.atomic = 1
	case word == "CASE" && st.atomic > 0:
		st.atomic++
	case word == "END" && st.atomic > 0:
		st.atomic--
	}
}

// createsRoutine reports whether the words so far are CREATE or CREATE OR REPLACE.
func createsRoutine(words []string) bool {
	s := strings.Join(words, " ")
	return s == "CREATE" || s == "CREATE OR REPLACE"
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
	script    Script
	offset    int
	lines     int // line breaks before offset
	lineStart int
}

func (p *placer) at(offset int) (line, column int) {
	sql := p.script.SQL
	offset = min(max(offset, 0), len(sql))
	if offset < p.offset {
		p.offset, p.lines, p.lineStart = 0, 0, 0
	}
	passed := sql[p.offset:offset]
	if n := strings.Count(passed, "\n"); n > 0 {
		p.lines += n
		p.lineStart = p.offset + strings.LastIndexByte(passed, '\n') + 1
	}
	p.offset = offset
	return max(1, p.script.Line) + p.lines, 1 + utf8.RuneCountInString(sql[p.lineStart:offset])
}
