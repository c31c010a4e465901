package migrations

import "strings"

func marksSQLMigrate(src source) bool {
	for a := range annotations(src.text, "+migrate") {
		if word := firstField(a.text); word == "Up" {
			return true
		}
	}
	return false
}

// readSQLMigrate divides a file at "-- +migrate Up" and "-- +migrate Down", either with the option notransaction.
func readSQLMigrate(src source, found *problems) (piece, bool) {
	p, ok := named(src, found)
	d := divider{src: src, found: found}
	for a := range annotations(src.text, "+migrate") {
		word, option, _ := strings.Cut(a.text, " ")
		option = strings.TrimSpace(option)
		switch word {
		case "Up":
			d.begin(&d.up, a)
		case "Down":
			d.begin(&d.down, a)
		case "StatementBegin", "StatementEnd":
			continue
		default:
			d.problem(a, "unknown annotation +migrate "+a.text, "use Up, Down, StatementBegin or StatementEnd")
			ok = false
			continue
		}
		switch option {
		case "":
		case "notransaction":
			p.noTransaction = p.noTransaction || word == "Up"
		default:
			d.problem(a, "unknown option "+option, "the only one is notransaction")
			ok = false
		}
	}
	return p, d.fill(&p, "-- +migrate Up") && ok
}
