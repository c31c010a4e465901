// Package migrations says what a schema migration is: it loads a directory of SQL files, checks it, compares it with what a
// database has already applied, and plans what remains. It knows no database driver; package postgres runs the plans.
//
// A Set is complete and valid once loaded: nothing is read from the file system afterwards, so a run cannot fail half-way
// because of its input.
//
//	set, err := migrations.Load(os.DirFS("migrations"), migrations.LayoutAuto)
//	if err != nil {
//		return err // everything that is wrong, with file, line and remedy
//	}
//	plan, err := set.Plan(applied, migrations.Policy{})
package migrations

// Migration is one versioned change of a schema.
type Migration struct {
	Version       Version // empty for a repeatable one
	Name          string  // what the file's name says besides its version, "add_total"
	Checksum      string  // "sha256:" and the hex digest of the file as it is on disk
	Up            Script  // what applies it
	Down          *Script // what reverts it; nil if the directory has none
	NoTransaction bool    // Up holds statements that cannot run in a transaction block (PostgreSQL, "CREATE INDEX" and others)
	MinCompatible Version // the oldest schema version whose readers still work after this migration; empty: not said
}

// Script is SQL together with where it stands, so that an error can name file, line and column.
type Script struct {
	Path string // as given to Load, with slashes
	Line int    // the line of Path on which SQL begins, 1-based
	SQL  string
}

// ID names the migration within its set: its version, or "R__" and its name if it is repeatable.
func (m Migration) ID() string {
	if m.Version == "" {
		return "R__" + m.Name
	}
	return string(m.Version)
}

// Set is a directory's migrations, oldest first, each version once.
type Set struct {
	Layout      Layout // by which the directory was read; never LayoutAuto after Load
	Migrations  []Migration
	Repeatables []Migration // Flyway's R__ files, in the order of their names: run after the others, and again whenever they change
}
