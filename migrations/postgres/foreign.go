package postgres

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// Tool names a tool for migrations whose history can be adopted.
type Tool string

// The tools.
const (
	ToolGolangMigrate Tool = "golang-migrate"
	ToolGoose         Tool = "goose"
	ToolDbmate        Tool = "dbmate"
	ToolTern          Tool = "tern"
	ToolSQLMigrate    Tool = "sql-migrate"
	ToolFlyway        Tool = "flyway"
)

// Tools lists them.
func Tools() []Tool {
	var all []Tool
	for _, t := range foreignTables() {
		all = append(all, t.tool)
	}
	return all
}

// foreignTable is where and how a tool keeps its history.
type foreignTable struct {
	tool    Tool
	name    string   // searched for in the search path, then in schema public
	columns []string // that it has
	lacks   string   // a column by which another tool's table of the same name is told
	sql     string   // reads the table, %s
	read    func(rows [][][]byte) (foreign, error)

	beside  []string // other tables of the tool, in the same schema; %s is the name of the table itself
	held    string   // reads from the first of them, %s, who holds the tool's own lock; empty if it has none that can stay set
	release string   // the command that frees it
}

// past is a migration as another tool remembers it.
type past struct {
	version migrations.Version // empty for a repeatable one
	name    string             // may be empty
	at      time.Time          // zero if it is not known
}

// foreign is another tool's history.
type foreign struct {
	applied    []past // in the order of application
	upto       past   // a version that stands for all up to it; empty: none does
	baseline   bool   // upto need not have a file
	repeatable []past
	newestOnly bool   // what came before is not remembered
	counted    bool   // versions are numbers in this list, which may change: a migration is told by its name
	dirty      *Error // one failed half way, and nobody has said since what the schema is at; nil if none did
}

// inUTC renders a column as a time that Go reads. A timestamp without a zone is taken to be in the session's, as the tools do.
func inUTC(column string) string {
	return "pg_catalog.to_char(" + column + `::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
}

func foreignTables() []foreignTable {
	return []foreignTable{
		{tool: ToolGolangMigrate, name: "schema_migrations", columns: []string{"version", "dirty"}, sql: "SELECT version, dirty FROM %s", read: readOneVersion},
		{tool: ToolGoose, name: "goose_db_version", columns: []string{"version_id", "is_applied", "tstamp"},
			sql: "SELECT version_id, is_applied, " + inUTC("tstamp") + " FROM %s ORDER BY id", read: readGoose},
		{tool: ToolDbmate, name: "schema_migrations", columns: []string{"version"}, lacks: "dirty", sql: "SELECT version FROM %s", read: readVersions},
		{tool: ToolTern, name: "schema_version", columns: []string{"version"}, lacks: "installed_rank", sql: "SELECT version, false FROM %s", read: readOneVersion},
		{tool: ToolSQLMigrate, name: "gorp_migrations", columns: []string{"id", "applied_at"},
			sql: "SELECT id, " + inUTC("applied_at") + " FROM %s ORDER BY applied_at, id", read: readSQLMigrate},
		{tool: ToolFlyway, name: "flyway_schema_history", columns: []string{"installed_rank", "version", "type", "script", "success", "installed_on"},
			sql: "SELECT version, type, script, success, " + inUTC("installed_on") + " FROM %s ORDER BY installed_rank", read: readFlyway},
	}
}

// inconsistent refuses a history, with what has to be done about it first.
func inconsistent(message, hint string) *Error { return fail(migrations.ExitRejected, message, hint) }

func parseVersion(column []byte) (migrations.Version, error) {
	v, err := migrations.ParseVersion(string(column))
	if err != nil {
		return "", inconsistent(err.Error(), "is this the table of another tool, or was it edited?")
	}
	return v, nil
}

func parseTime(column []byte) time.Time {
	t, err := time.Parse(time.RFC3339Nano, string(column))
	if err != nil { // NULL
		return time.Time{}
	}
	return t
}

// readOneVersion reads the one row of tools that remember the newest version only, and whether it was left half applied.
// They apply versions in their order, so that one stands for all up to it. tern begins with a version 0.
func readOneVersion(rows [][][]byte) (foreign, error) {
	f := foreign{newestOnly: true}
	switch {
	case len(rows) == 0:
		return f, nil
	case len(rows) > 1:
		return f, inconsistent(fmt.Sprintf("it has %d rows, where that tool writes one", len(rows)), "delete the rows that do not tell the version the schema is at")
	case string(rows[0][0]) != "0" && string(rows[0][0]) != "-1": // -1 is golang-migrate's for before the first
		v, err := parseVersion(rows[0][0])
		if err != nil {
			return f, err
		}
		f.upto = past{version: v}
	}
	if string(rows[0][1]) == "t" {
		f.dirty = inconsistent(fmt.Sprintf("version %s is dirty: it failed, and nobody has said since what the schema is at", rows[0][0]),
			"look what is there of it, complete or revert it by hand, and say so with that tool's command force")
	}
	return f, nil
}

// readGoose follows the ups and downs: what counts is a version's last row. Version 0 is the empty database.
func readGoose(rows [][][]byte) (foreign, error) {
	var f foreign
	for _, row := range rows {
		v, err := parseVersion(row[0])
		if err != nil {
			return f, err
		}
		f.forget(v)
		if string(row[1]) == "t" && v != "0" {
			f.applied = append(f.applied, past{version: v, at: parseTime(row[2])})
		}
	}
	return f, nil
}

// forget removes a version that was reverted, or is applied again.
func (f *foreign) forget(v migrations.Version) {
	f.applied = slices.DeleteFunc(f.applied, func(p past) bool { return p.version.Compare(v) == 0 })
}

// readVersions reads a bare list of versions; their own order is all there is.
func readVersions(rows [][][]byte) (foreign, error) {
	var f foreign
	for _, row := range rows {
		v, err := parseVersion(row[0])
		if err != nil {
			return f, err
		}
		f.applied = append(f.applied, past{version: v})
	}
	slices.SortFunc(f.applied, func(a, b past) int { return a.version.Compare(b.version) })
	return f, nil
}

// leadingVersion is what sql-migrate orders its files by.
var leadingVersion = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*`)

// readSQLMigrate reads the versions off the files' names. One without a number has none.
func readSQLMigrate(rows [][][]byte) (foreign, error) {
	var f foreign
	for _, row := range rows {
		v, _ := migrations.ParseVersion(string(leadingVersion.Find(row[0])))
		f.applied = append(f.applied, past{version: v, name: string(row[0]), at: parseTime(row[1])})
	}
	return f, nil
}

// readFlyway reads the rows in the order of installation (Flyway, "Schema history table"). A baseline stands for all up to
// its version; a row without a version is a repeatable migration, or says that the schema was made.
func readFlyway(rows [][][]byte) (foreign, error) {
	var f foreign
	for _, row := range rows {
		kind, script, at := string(row[1]), string(row[2]), parseTime(row[4])
		if string(row[3]) != "t" {
			f.dirty = inconsistent(fmt.Sprintf("%s is marked as failed", strconv.Quote(script)),
				"look what is there of it, complete or revert it by hand, and run flyway repair")
			continue
		}
		if row[0] == nil {
			f.repeated(script, at, kind == "DELETE")
			continue
		}
		v, err := parseVersion(row[0])
		if err != nil {
			return f, err
		}
		switch {
		case strings.HasPrefix(kind, "UNDO"), kind == "DELETE":
			f.forget(v)
		case strings.HasSuffix(kind, "BASELINE"):
			f.upto, f.baseline = past{version: v, at: at}, true
		default:
			f.forget(v)
			f.applied = append(f.applied, past{version: v, name: script, at: at})
		}
	}
	return f, nil
}

// repeated keeps the last run of a repeatable migration, told by its script's name, unless it was deleted.
func (f *foreign) repeated(script string, at time.Time, deleted bool) {
	name, repeatable := strings.CutPrefix(script[strings.LastIndexByte(script, '/')+1:], "R__")
	if !repeatable {
		return
	}
	name = strings.TrimSuffix(name, ".sql")
	f.repeatable = slices.DeleteFunc(f.repeatable, func(p past) bool { return p.name == name })
	if !deleted {
		f.repeatable = append(f.repeatable, past{name: name, at: at})
	}
}

// resolve finds the file of each migration.
func (f foreign) resolve(set migrations.Set) (versioned, repeatable []adopted, err error) {
	var missing []error
	known := map[migrations.Version]bool{} // by the set's spelling
	if f.upto.version != "" {
		for _, m := range set.Migrations {
			if m.Version.Compare(f.upto.version) <= 0 {
				known[m.Version] = true
				versioned = append(versioned, adopted{m, f.upto.at})
			}
		}
		if _, ok := fileOf(set, f.upto.version); !ok && !f.baseline {
			missing = append(missing, &migrations.MissingFileError{Version: f.upto.version})
		}
	}
	for _, p := range f.applied {
		if p.version == "" {
			return nil, nil, inconsistent(fmt.Sprintf("file %q has no version", p.name), "give the files names that begin with a number, there and in this table")
		}
		m, ok := fileOf(set, p.version)
		switch {
		case known[m.Version]:
		case ok:
			known[m.Version] = true
			versioned = append(versioned, adopted{m, p.at})
		case !f.baseline || p.version.Compare(f.upto.version) > 0:
			missing = append(missing, &migrations.MissingFileError{Version: p.version, Name: p.name})
		}
	}
	for _, p := range f.repeatable {
		m := migrations.Migration{Name: p.name}
		if i := slices.IndexFunc(set.Repeatables, func(m migrations.Migration) bool { return m.Name == p.name }); i >= 0 {
			m = set.Repeatables[i]
		}
		repeatable = append(repeatable, adopted{m, p.at})
	}
	if len(missing) > 0 {
		return nil, nil, &migrations.HistoryError{Deviations: missing}
	}
	return versioned, repeatable, nil
}

func fileOf(set migrations.Set, v migrations.Version) (migrations.Migration, bool) {
	i, ok := slices.BinarySearchFunc(set.Migrations, v, func(m migrations.Migration, v migrations.Version) int { return m.Version.Compare(v) })
	if !ok {
		return migrations.Migration{}, false
	}
	return set.Migrations[i], true
}
