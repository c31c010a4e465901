package migrations

// Effect is what a statement outside a transaction makes or removes, all of it or nothing: the catalogue tells whether it is done.
type Effect struct {
	Object       string   // "DATABASE", "TABLESPACE" or "SUBSCRIPTION"
	Name         string   // as the catalogue has it
	Publications []string // that a subscription gains or loses; empty if it is made or dropped itself
	Removes      bool
}

// Effect reads the statement; ok is false if it has no such effect or is written in a way that is not understood. Of those that
// NonTransactional knows, the others may be carried out twice, or are Concurrent.
func (s Statement) Effect() (e Effect, ok bool) {
	r := reader{sql: s.SQL, tokens: s.tokens}
	switch {
	case r.take("CREATE"):
	case r.take("DROP"):
		e.Removes = true
	case r.take("ALTER", "SUBSCRIPTION"):
		return r.publications()
	default:
		return e, false
	}
	for _, object := range []string{"DATABASE", "TABLESPACE", "SUBSCRIPTION"} {
		if r.take(object) {
			r.take("IF", "EXISTS")
			e.Object, e.Name = object, Fold(r.name())
			return e, e.Name != ""
		}
	}
	return e, false
}

// publications reads what follows ALTER SUBSCRIPTION. SET PUBLICATION may be carried out twice.
func (r *reader) publications() (e Effect, ok bool) {
	e.Object, e.Name = "SUBSCRIPTION", Fold(r.name())
	if e.Removes = r.take("DROP"); !e.Removes && !r.take("ADD") || !r.take("PUBLICATION") {
		return e, false
	}
	for {
		name := Fold(r.name())
		if name == "" || e.Name == "" {
			return e, false
		}
		e.Publications = append(e.Publications, name)
		if !r.take(",") {
			return e, true
		}
	}
}
