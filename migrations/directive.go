package migrations

import "strings"

// directivePrefix begins a comment that speaks to Schemawave.
const directivePrefix = "schemawave:"

// directives is what the head of a file says.
type directives struct {
	noTransaction bool
	minCompatible Version
}

// readDirectives reads the lines "-- schemawave: …" at the head of a file, among other comments and blank lines, before any
// SQL. The directives are:
//
//	-- schemawave: no-transaction           run the statements one by one, outside a transaction
//	-- schemawave: min-compatible VERSION   the oldest schema version whose readers work after this migration
//
// An unknown one, a misspelt one and one below the head are problems: what was asked for must not be lost silently.
func readDirectives(src source, found *problems) directives {
	var d directives
	head := -1 // counted when it is needed
	for a := range annotations(src.text, directivePrefix) {
		if head < 0 {
			head = headLines(src.text)
		}
		bad := func(what, remedy string) {
			found.add(&Problem{Kind: BadDirective, File: src.path, Line: a.line, What: what, Remedy: remedy})
		}
		if a.line > head {
			if inComment(src.text, a.start) {
				bad("a directive below the head of the file", "move it above the first statement")
			}
			continue
		}
		word, value, _ := strings.Cut(a.text, " ")
		value = strings.TrimSpace(value)
		switch {
		case word == "no-transaction" && value == "":
			d.noTransaction = true
		case word == "min-compatible":
			v, err := ParseVersion(value)
			if err != nil {
				bad("min-compatible: "+err.Error(), "name a version, as in -- schemawave: min-compatible 20261122093000")
			}
			d.minCompatible = v
		default:
			bad("unknown directive "+a.text, "use no-transaction or min-compatible VERSION")
		}
	}
	return d
}

// headLines returns how many lines of comments and blanks a file begins with.
func headLines(text string) int {
	n := 0
	for l := range lines(text) {
		if s := strings.TrimSpace(l.text); s != "" && !strings.HasPrefix(s, "--") {
			break
		}
		n = l.line
	}
	return n
}

// inComment reports whether a line comment, and not a string or a function's body, begins in the line at offset.
func inComment(text string, offset int) bool {
	lex := lexer{src: text}
	for t := lex.next(); t.kind != tokenEnd && t.start <= lineEnd(text, offset); t = lex.next() {
		if t.kind == tokenLineNote && t.start >= offset {
			return true
		}
	}
	return false
}

func lineEnd(text string, offset int) int {
	if i := strings.IndexByte(text[offset:], '\n'); i >= 0 {
		return offset + i
	}
	return len(text)
}
