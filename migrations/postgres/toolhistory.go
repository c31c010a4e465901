package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// The tools whose history is read, but not adopted: their migrations are programs, or have no files that Schemawave could run.
const (
	ToolLaravel   Tool = "laravel"
	ToolRails     Tool = "rails"
	ToolDjango    Tool = "django"
	ToolAlembic   Tool = "alembic"
	ToolLiquibase Tool = "liquibase"
	ToolPrisma    Tool = "prisma"
	ToolKnex      Tool = "knex"
	ToolSequelize Tool = "sequelize"
	ToolTypeORM   Tool = "typeorm"
	ToolEcto      Tool = "ecto"
	ToolSqitch    Tool = "sqitch"
	ToolCustom    Tool = "custom" // any other, with a query
)

// HistoryTools lists the tools that Exclusively knows the history of.
func HistoryTools() []Tool {
	var all []Tool
	for _, t := range historyTables() {
		all = append(all, t.tool)
	}
	return append(all, ToolCustom)
}

// ToolHistory says where a tool keeps its history.
type ToolHistory struct {
	Tool  Tool
	Table string // as in SQL, with its schema or without; empty where the tool has it unless told otherwise
	Query string // of ToolCustom, and of no other: selects the version, one value
}

func (h ToolHistory) check() error {
	switch {
	case !slices.Contains(HistoryTools(), h.Tool):
		return misconfigured(fmt.Sprintf("unknown history %q", h.Tool), fmt.Sprintf("use one of %v", HistoryTools()))
	case (h.Tool == ToolCustom) != (h.Query != ""):
		return misconfigured("a query goes with the history custom, and with no other", "select the schema's version, as in SELECT max(version) FROM app.changes")
	case h.Tool == ToolCustom && h.Table != "":
		return misconfigured("the history custom has no table", "name the table in the query")
	}
	return nil
}

// unnumbered says how to get a version where the newest migration has none; empty if it has one, or if there is no migration.
func (h ToolHistory) unnumbered(newest past) string {
	const query = ", or select a number that grows with the schema: history custom, with a query"
	switch {
	case newest.version != "":
		return ""
	case h.Tool == ToolCustom:
		return "the history's query selects no value: have it select a number that grows with the schema"
	case newest.name == "":
		return ""
	case h.Tool == ToolAlembic:
		return "generated ids have no order: begin each with a number, as in alembic revision --rev-id 0001" + query
	}
	return "begin the names of migrations with a number or a time" + query
}

// historyTables lists the tables of all tools. What a version is, where the tool itself has no number for it:
//
//   - Django numbers within each app, and Liquibase's changesets have names: the number of them that are applied;
//   - Alembic's revisions have no order, unless their ids begin with a number;
//   - sqitch: when the newest change was planned, as sqitch.plan says, in UTC;
//   - the others: the number or time that the names of migrations begin with.
func historyTables() []foreignTable {
	return append(foreignTables(), []foreignTable{
		{tool: ToolLaravel, name: "migrations", columns: []string{"migration", "batch"}, sql: "SELECT migration FROM %s ORDER BY batch, migration", read: readNames},
		{tool: ToolRails, name: "schema_migrations", columns: []string{"version"}, lacks: "dirty", sql: "SELECT version FROM %s ORDER BY version", read: readNames},
		{tool: ToolDjango, name: "django_migrations", columns: []string{"app", "name", "applied"}, sql: "SELECT app || '.' || name FROM %s ORDER BY id", read: readCounted},
		{tool: ToolAlembic, name: "alembic_version", columns: []string{"version_num"}, sql: "SELECT version_num FROM %s ORDER BY version_num", read: readHeads},
		{tool: ToolLiquibase, name: "databasechangelog", columns: []string{"id", "author", "filename", "orderexecuted", "exectype"}, beside: []string{"databasechangeloglock"},
			sql: "SELECT filename || '::' || id || '::' || author, exectype = 'RERAN', " + inUTC("dateexecuted") + " FROM %s ORDER BY exectype <> 'RERAN', dateexecuted, orderexecuted", read: readLiquibase,
			held: "SELECT coalesce(lockedby, '') FROM %s WHERE locked", release: "liquibase release-locks"},
		{tool: ToolPrisma, name: "_prisma_migrations", columns: []string{"migration_name", "finished_at", "rolled_back_at", "started_at"},
			sql: "SELECT migration_name, finished_at IS NOT NULL FROM %s WHERE rolled_back_at IS NULL ORDER BY started_at", read: readPrisma},
		{tool: ToolKnex, name: "knex_migrations", columns: []string{"name", "batch", "migration_time"}, beside: []string{"%s_lock"},
			sql: "SELECT name FROM %s ORDER BY id", read: readNames, held: "SELECT '' FROM %s WHERE is_locked = 1", release: "knex migrate:unlock"},
		{tool: ToolSequelize, name: `"SequelizeMeta"`, columns: []string{"name"}, sql: "SELECT name FROM %s ORDER BY name", read: readNames},
		{tool: ToolTypeORM, name: "migrations", columns: []string{"timestamp", "name"}, sql: `SELECT "timestamp", name FROM %s ORDER BY id`, read: readNumbered},
		{tool: ToolEcto, name: "schema_migrations", columns: []string{"version", "inserted_at"}, sql: "SELECT version FROM %s ORDER BY version", read: readNames},
		{tool: ToolSqitch, name: "sqitch.changes", columns: []string{"change", "project", "planned_at", "committed_at"},
			beside: []string{"releases", "projects", "tags", "dependencies", "events"}, read: readNumbered,
			sql: "SELECT pg_catalog.to_char(planned_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS'), project || ':' || change FROM %s ORDER BY committed_at"},
	}...)
}

// named is the version in the name of a migration: the number it begins with. Laravel divides a time by underscores, which then
// is one number all the same.
var named = regexp.MustCompile(`^(?:([0-9]{4})_([0-9]{2})_([0-9]{2})_([0-9]{6})|([0-9]+(?:\.[0-9]+)*))(?:$|[^0-9A-Za-z])`)

func versionOf(name string) migrations.Version {
	m := named.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	v, _ := migrations.ParseVersion(strings.Join(m[1:], ""))
	return v
}

// readNames reads the names of migrations. Those that begin with no number, as a package of Laravel's may bring some, have no version.
func readNames(rows [][][]byte) (foreign, error) {
	var f foreign
	for _, row := range rows {
		f.applied = append(f.applied, past{version: versionOf(string(row[0])), name: string(row[0])})
	}
	return f, nil
}

// readNumbered reads versions and names.
func readNumbered(rows [][][]byte) (foreign, error) {
	var f foreign
	for _, row := range rows {
		v, err := parseVersion(row[0])
		if err != nil {
			return f, err
		}
		f.applied = append(f.applied, past{version: v, name: string(row[1])})
	}
	return f, nil
}

// readCounted reads the names of migrations that only their number puts in an order.
func readCounted(rows [][][]byte) (foreign, error) {
	f := foreign{counted: true}
	for i, row := range rows {
		f.applied = append(f.applied, past{version: migrations.Version(strconv.Itoa(i + 1)), name: string(row[0])})
	}
	return f, nil
}

// readLiquibase reads the names of changesets, those first that have run again: Liquibase dates them anew (runOnChange, runAlways),
// and a changeset that is new has the highest number all the same.
func readLiquibase(rows [][][]byte) (foreign, error) {
	f, err := readCounted(rows)
	for _, row := range rows {
		if string(row[1]) == "t" {
			f.repeatable = append(f.repeatable, past{name: string(row[0]), at: parseTime(row[2])})
		}
	}
	return f, err
}

// generatedRevision is what Alembic names a revision by itself: the last twelve hexadecimal digits of a UUID, which may all be
// decimal. A time has as many, and begins with the century.
var generatedRevision = regexp.MustCompile(`^([013-9][0-9]|2[1-9])[0-9]{10}$`)

// readHeads reads the heads of Alembic's graph of revisions; what came before them is not in the table.
func readHeads(rows [][][]byte) (foreign, error) {
	f, err := readNames(rows)
	f.newestOnly = true
	for i, p := range f.applied {
		if generatedRevision.MatchString(p.name) {
			f.applied[i].version = ""
		}
	}
	return f, err
}

// readPrisma reads names, and whether each was finished.
func readPrisma(rows [][][]byte) (foreign, error) {
	var f foreign
	for _, row := range rows {
		name := string(row[0])
		if string(row[1]) != "t" {
			f.dirty = inconsistent(fmt.Sprintf("%s was begun and never finished", strconv.Quote(name)),
				"look what is there of it, and say so: prisma migrate resolve --applied or --rolled-back")
			continue
		}
		f.applied = append(f.applied, past{version: versionOf(name), name: name})
	}
	return f, nil
}

// newest is the migration with the highest version; without any, the last one.
func (f foreign) newest() past {
	newest := f.upto
	if newest.name == "" {
		newest.name = string(newest.version)
	}
	for _, p := range f.applied {
		if p.version != "" && p.version.Compare(newest.version) > 0 || newest.version == "" {
			newest = p
		}
	}
	return newest
}

// since returns what is in f and was not in an earlier one.
func (f foreign) since(earlier foreign) (applied, repeatable []past) {
	later := func(now, then []past) []past {
		return slices.DeleteFunc(slices.Clone(now), func(p past) bool { return slices.Contains(then, p) })
	}
	if f.counted {
		known := func(p past) bool {
			return slices.ContainsFunc(earlier.applied, func(e past) bool { return e.name == p.name })
		}
		return slices.DeleteFunc(slices.Clone(f.applied), known), later(f.repeatable, earlier.repeatable)
	}
	return later(f.applied, earlier.applied), later(f.repeatable, earlier.repeatable)
}

// same reports whether nothing has changed since an earlier one.
func (f foreign) same(earlier foreign) bool {
	return slices.Equal(f.applied, earlier.applied) && slices.Equal(f.repeatable, earlier.repeatable) && f.upto == earlier.upto
}

// toolRecord is a tool's history as it is found.
type toolRecord struct {
	foreign
	there  bool
	table  string      // quoted, if it is there
	tables [][2]string // schema and name of it and of what the tool keeps beside it
	held   string      // that the tool's own lock is set, and by whom; empty if it is not
}

// readHistory reads a tool's history. A table that is not there is an empty one.
func readHistory(ctx context.Context, s *session, h ToolHistory) (toolRecord, error) {
	if h.Tool == ToolCustom {
		return readQuery(ctx, s, h.Query)
	}
	all := historyTables()
	from := all[slices.IndexFunc(all, func(t foreignTable) bool { return t.tool == h.Tool })]
	from.name = fallback(h.Table, from.name)
	rows, err := s.within(ctx, tablesSQL("", from.name))
	if state := sqlState(err); state == "42602" || state == "42601" || state == "0A000" {
		return toolRecord{}, misconfigured(fmt.Sprintf("%q is not the name of a table", from.name), `write it as in SQL: app.migrations, or app."Migrations"`)
	}
	if err != nil || len(rows) == 0 {
		return toolRecord{}, err
	}
	out := toolRecord{there: true, table: string(rows[0][1]), tables: [][2]string{{string(rows[0][3]), string(rows[0][4])}}}
	if !from.isAt(rows[0]) {
		return out, misconfigured(fmt.Sprintf("table %s is not the history of %s, which has the columns %s", out.table, h.Tool, strings.Join(from.columns, ", ")),
			"correct --history, or name the table with --history-table")
	}
	for _, name := range from.beside {
		out.tables = append(out.tables, [2]string{out.tables[0][0], strings.ReplaceAll(name, "%s", out.tables[0][1])})
	}
	if rows, err = s.within(ctx, fmt.Sprintf(from.sql, out.table)); err != nil {
		return out, err
	}
	if out.foreign, err = from.read(rows); err != nil {
		return out, about(h.Tool, out.table, err)
	}
	if from.held != "" {
		out.held, err = heldBy(ctx, s, from, out.tables[1])
	}
	return out, err
}

// heldBy says who a tool's own lock is held by, a row that stays set when the tool is killed. Under the lock of ours that is known
// of every run through Exclusively, but one outside of it may be at work: so the row is told, and not touched.
func heldBy(ctx context.Context, s *session, from foreignTable, table [2]string) (string, error) {
	name := identifier(table[0]) + "." + identifier(table[1])
	rows, err := s.within(ctx, tablesSQL("", name))
	if err != nil || len(rows) == 0 {
		return "", err
	}
	if rows, err = s.within(ctx, fmt.Sprintf(from.held, name)); err != nil || len(rows) == 0 {
		return "", err
	}
	return fmt.Sprintf("the lock of %s itself is set in %s.%s, by %s: that run was killed, or runs outside of schemawave exec; if none does, release it with %s",
		from.tool, table[0], table[1], fallback(string(rows[0][0]), "somebody"), from.release), nil
}

// readQuery asks for the version with a query of the user's, which may not write. While what it reads from is not there yet,
// there is no version.
func readQuery(ctx context.Context, s *session, query string) (toolRecord, error) {
	rows, err := s.ask(ctx, strings.Join(s.begin, ";")+";SET TRANSACTION READ ONLY;"+query+"\n;COMMIT")
	if err != nil {
		if errors.As(err, new(*lostError)) {
			return toolRecord{}, err
		}
		if _, cleanErr := s.ask(context.WithoutCancel(ctx), "ROLLBACK"); cleanErr != nil {
			return toolRecord{}, cleanErr
		}
		switch sqlState(err) {
		case "42P01", "3F000":
			return toolRecord{}, nil
		}
		return toolRecord{}, aboutQuery(err)
	}
	if s.pooled {
		rows = rows[len(s.begin)-1:]
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return toolRecord{}, misconfigured(fmt.Sprintf("the history's query selects %d rows, not one value", len(rows)), "select one value, as in SELECT max(version) FROM app.changes")
	}
	out := toolRecord{there: true, foreign: foreign{newestOnly: true}}
	if value := string(rows[0][0]); value != "" {
		v, err := migrations.ParseVersion(value)
		if err != nil {
			return out, aboutQuery(misconfigured(err.Error(), "select a number that grows with the schema"))
		}
		out.upto = past{version: v, name: value}
	}
	return out, nil
}

// aboutQuery says that an error is the query's, and who is to mend it.
func aboutQuery(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	f := &e.Failure
	f.Message = "the history's query: " + f.Message
	if f.Code == migrations.ExitRejected || f.SQLState == "25006" {
		f.Code, f.Permanent, f.Hint = migrations.ExitConfig, true, "correct the query: it selects the version, and writes nothing"
	}
	return e
}
