package migrations

import "strings"

func marksFlyway(src source) bool {
	base := strings.TrimSuffix(src.path, ".sql")
	kind, rest := base[:min(1, len(base))], base[min(1, len(base)):]
	version, _, divided := strings.Cut(rest, "__")
	if !divided {
		return false
	}
	if kind == "R" {
		return version == ""
	}
	_, err := ParseVersion(version)
	return strings.Contains("VUB", kind) && err == nil
}

// readFlyway takes a file whole: V1__name.sql is to be applied, U1__name.sql reverts it, R__name.sql is repeatable. Baseline
// migrations are refused: they stand for others, and a history in which each version is applied once has no place for both.
func readFlyway(src source, found *problems) (piece, bool) {
	base := strings.TrimSuffix(src.path, ".sql")
	if !marksFlyway(src) {
		found.add(&Problem{Kind: BadName, File: src.path, What: "its name is not like V1__create_orders.sql",
			Remedy: "rename it, or keep it outside this directory"})
		return piece{}, false
	}
	if base[0] == 'B' {
		found.add(&Problem{Kind: Unsupported, File: src.path, What: "baseline migrations are not supported",
			Remedy: "delete it; a database that is there already is taken over with schemawave baseline"})
		return piece{}, false
	}
	ok := template(src, "${", "Flyway", found)
	version, name, _ := strings.Cut(base[1:], "__")
	script := &Script{Path: src.path, Line: 1, SQL: src.text}
	if base[0] == 'R' {
		return piece{name: name, up: script}, ok
	}
	v, err := ParseVersion(version)
	p := piece{version: v, name: name}
	if base[0] == 'U' {
		p.down = script
	} else {
		p.up = script
	}
	return p, ok && err == nil
}
