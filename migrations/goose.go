package migrations

import "strings"

func marksGoose(src source) bool {
	for a := range annotations(src.text, "+goose") {
		if strings.EqualFold(a.text, "Up") {
			return true
		}
	}
	return false
}

// readGoose divides a file at "-- +goose Up" and "-- +goose Down". StatementBegin and StatementEnd need no attention:
// the splitter knows where a function's body ends.
func readGoose(src source, found *problems) (piece, bool) {
	p, ok := named(src, found)
	d := divider{src: src, found: found}
	for a := range annotations(src.text, "+goose") {
		switch strings.ToUpper(a.text) {
		case "UP":
			d.begin(&d.up, a)
		case "DOWN":
			d.begin(&d.down, a)
		case "NO TRANSACTION":
			p.noTransaction = true
		case "STATEMENTBEGIN", "STATEMENTEND", "ENVSUB OFF":
		case "ENVSUB ON":
			found.add(&Problem{Kind: Template, File: src.path, Line: a.line, What: "substitutes environment variables, which would make one version mean different things",
				Remedy: "write the values themselves, or read them in SQL with current_setting()"})
			ok = false
		default:
			d.problem(a, "unknown annotation +goose "+a.text, "use Up, Down, StatementBegin, StatementEnd or NO TRANSACTION")
			ok = false
		}
	}
	return p, d.fill(&p, "-- +goose Up") && ok
}
