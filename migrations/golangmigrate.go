package migrations

import "strings"

func marksGolangMigrate(src source) bool {
	return strings.HasSuffix(src.path, ".up.sql") || strings.HasSuffix(src.path, ".down.sql")
}

// readGolangMigrate takes a file whole, as one direction of a pair. An empty down file stands for none.
func readGolangMigrate(src source, found *problems) (piece, bool) {
	base, down := strings.CutSuffix(src.path, ".down.sql")
	base, up := strings.CutSuffix(base, ".up.sql")
	if !up && !down {
		found.add(&Problem{Kind: BadName, File: src.path, What: "its name ends neither in .up.sql nor in .down.sql",
			Remedy: "rename it, or keep it outside this directory"})
		return piece{}, false
	}
	v, name, ok := versioned(src, base, "1_create_orders.up.sql", found)
	p, script := piece{version: v, name: name}, &Script{Path: src.path, Line: 1, SQL: src.text}
	if down {
		p.down = script
	} else {
		p.up = script
	}
	return p, ok
}
