package migrations

// readPlain takes the whole file as what is to be applied.
func readPlain(src source, found *problems) (piece, bool) {
	p, ok := named(src, found)
	p.up = &Script{Path: src.path, Line: 1, SQL: src.text}
	return p, ok
}
