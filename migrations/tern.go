package migrations

import "strings"

// The lines by which tern's files are told.
const (
	ternDivider = "---- create above / drop below ----"
	ternNoTx    = "---- tern: disable-tx ----"
)

func marksTern(src source) bool {
	if !strings.Contains(src.text, "---- ") {
		return false
	}
	for l := range lines(src.text) {
		if s := strings.TrimSpace(l.text); s == ternDivider || s == ternNoTx {
			return true
		}
	}
	return false
}

// readTern divides a file at tern's line; without one, everything is to be applied and nothing can be reverted.
func readTern(src source, found *problems) (piece, bool) {
	p, ok := named(src, found)
	ok = template(src, "{{", "tern", found) && ok
	up := Script{Path: src.path, Line: 1, SQL: src.text}
	for l := range lines(src.text) {
		switch strings.TrimSpace(l.text) {
		case ternNoTx:
			p.noTransaction = true
		case ternDivider:
			if p.down != nil {
				found.add(&Problem{Kind: BadDirective, File: src.path, Line: l.line, What: "a second line " + ternDivider,
					Remedy: "keep one in a file"})
				return p, false
			}
			up.SQL = src.text[:l.start]
			p.down = &Script{Path: src.path, Line: l.line + 1, SQL: src.text[l.end:]}
		}
	}
	p.up = &up
	return p, ok
}
