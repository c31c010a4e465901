package postgres

import (
	"slices"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// takes refuses migrations with a statement that would do something else behind a pooler than it does in a session of its own: undo
// what holds for the transaction alone there, or leave in the server session what the next file, or somebody else, then meets.
func (s *session) takes(pending []migrations.Migration) error {
	if !s.pooled {
		return nil
	}
	for _, m := range pending {
		statements, err := m.Up.Split()
		if err != nil {
			return err
		}
		for _, st := range statements {
			if e := s.misplaced(st); e != nil {
				e.Failure.File, e.Failure.Line, e.Failure.Column = m.Up.Path, st.Line, st.Column
				return e
			}
		}
	}
	return nil
}

// misplaced says what is wrong with a statement behind a pooler; nil if nothing is. A timeout may be reset by its name: that is no
// mistake about where tables go.
func (s *session) misplaced(st migrations.Statement) *Error {
	reset := st.Resets()
	switch {
	case st.PreparesStatement():
		return misconfigured("a prepared statement would stay in the server session of a pooler, which serves others too",
			"write the statement out where it is executed; or use the database server's own address")
	case reset == "all", slices.ContainsFunc(s.outlasting, func(name string) bool { return strings.EqualFold(name, reset) }):
		return misconfigured("through a pooler this would undo what is set for the transaction ("+strings.Join(append([]string{"timeouts"}, s.outlasting...), ", ")+")",
			"delete it, for what a file sets is undone at its end, or set the value that is to hold; or use the database server's own address")
	}
	return nil
}
