package migrations

import "strings"

func marksDbmate(src source) bool {
	for a := range annotations(src.text, "migrate:") {
		if a.text == "up" || strings.HasPrefix(a.text, "up ") {
			return true
		}
	}
	return false
}

// readDbmate divides a file at "-- migrate:up" and "-- migrate:down", either with options such as transaction:false.
func readDbmate(src source, found *problems) (piece, bool) {
	p, ok := named(src, found)
	d := divider{src: src, found: found}
	for a := range annotations(src.text, "migrate:") {
		fields := strings.Fields(a.text)
		if len(fields) == 0 {
			fields = []string{""}
		}
		switch fields[0] {
		case "up":
			d.begin(&d.up, a)
		case "down":
			d.begin(&d.down, a)
		default:
			d.problem(a, "unknown section migrate:"+fields[0], "use migrate:up or migrate:down")
			ok = false
			continue
		}
		for _, option := range fields[1:] {
			switch option {
			case "transaction:false":
				p.noTransaction = p.noTransaction || fields[0] == "up"
			case "transaction:true":
			default:
				d.problem(a, "unknown option "+option, "use transaction:false or transaction:true")
				ok = false
			}
		}
	}
	return p, d.fill(&p, "-- migrate:up") && ok
}
