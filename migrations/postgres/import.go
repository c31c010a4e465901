package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// Adoption is a history that was taken over from another tool.
type Adoption struct {
	Tool       Tool                 `json:"tool"`
	Table      string               `json:"table"`    // that it was read from, as SQL
	Versions   []migrations.Version `json:"versions"` // in the order of application
	Repeatable []string             `json:"repeatable,omitempty"`
}

// Import adopts the history that another tool has left in the database; an empty tool is found out. What the files say now
// is taken for what was applied. All of it is recorded in one transaction, or nothing; the other tool's table is only read.
//
// It is refused if the history is dirty, speaks of versions that the set does not have, or leaves out some that the set's
// next run would refuse to apply late (Config.OutOfOrder); and if the ledger has another history of its own. A tenant's is
// looked for in the tenant's own schema alone: what lies in another one is not its.
func Import(ctx context.Context, cfg Config, set migrations.Set, tool Tool) (Adoption, error) {
	if tool != "" && !slices.Contains(Tools(), tool) {
		return Adoption{}, misconfigured(fmt.Sprintf("unknown tool %q", tool), fmt.Sprintf("use one of %v", Tools()))
	}
	var out Adoption
	err := operate(ctx, cfg, func(ctx context.Context, r *runner, s *session, st state) (func(context.Context) error, error) {
		from, table, err := findForeign(ctx, s, tool, r.cfg.Tenant)
		if err != nil {
			return nil, cmp.Or(st.noHistory(r.cfg.LedgerSchema), err)
		}
		versioned, repeatable, err := readForeign(ctx, s, from, table, set)
		if err == nil {
			err = plansOn(set, versioned, r.cfg.OutOfOrder)
		}
		if err != nil {
			return nil, about(from.tool, table, err)
		}
		out = Adoption{Tool: from.tool, Table: table}
		for _, a := range versioned {
			out.Versions = append(out.Versions, a.Version)
		}
		for _, a := range repeatable {
			out.Repeatable = append(out.Repeatable, a.Name)
		}
		return r.adopt(s, st, versioned, repeatable)
	})
	if err != nil {
		return Adoption{}, err
	}
	return out, nil
}

// findForeign looks for the tables of the tools, as tablesSQL does.
func findForeign(ctx context.Context, s *session, tool Tool, tenant string) (foreignTable, string, error) {
	var names []string
	for _, t := range foreignTables() {
		if !slices.Contains(names, t.name) {
			names = append(names, t.name)
		}
	}
	rows, err := s.within(ctx, tablesSQL(tenant, names...))
	if err != nil {
		return foreignTable{}, "", err
	}
	var found []foreignTable
	var tables []string
	for _, t := range foreignTables() {
		for _, row := range rows {
			if (tool == "" || t.tool == tool) && t.isAt(row) {
				found, tables = append(found, t), append(tables, string(row[1]))
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], tables[0], nil
	case 0:
		return foreignTable{}, "", notFound(tool, tenant)
	}
	said := make([]string, len(found))
	for i, t := range found {
		said[i] = fmt.Sprintf("%s (%s)", t.tool, tables[i])
	}
	return foreignTable{}, "", misconfigured("more than one tool has left a history here: "+strings.Join(said, ", "), "say whose to adopt")
}

// tablesSQL asks which of these tables are there, by names as in SQL: each one's name as it was asked for, quoted in full, its
// columns, its schema and its name. One without a schema is looked for in the tenant's schema; without a tenant, in the search
// path, then in schema public.
func tablesSQL(tenant string, names ...string) string {
	where := `coalesce(pg_catalog.to_regclass(t.name),
CASE WHEN pg_catalog.strpos(t.name, '.') = 0 THEN pg_catalog.to_regclass('public.' || t.name) END)`
	if tenant != "" {
		where = fmt.Sprintf("pg_catalog.to_regclass(%s || t.name)", literal(identifier(tenant)+"."))
	}
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = "(" + literal(name) + ")"
	}
	return fmt.Sprintf(`SELECT t.name, pg_catalog.format('%%I.%%I', n.nspname, c.relname),
(SELECT pg_catalog.string_agg(a.attname, ',') FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), n.nspname, c.relname
FROM (VALUES %s) t(name) JOIN pg_catalog.pg_class c ON c.oid = %s
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`, strings.Join(values, ", "), where)
}

// isAt reports whether a row of tablesSQL is about a table of the tool.
func (t foreignTable) isAt(row [][]byte) bool {
	columns := strings.Split(string(row[2]), ",")
	has := func(c string) bool { return slices.Contains(columns, c) }
	return string(row[0]) == t.name && !slices.ContainsFunc(t.columns, func(c string) bool { return !has(c) }) && (t.lacks == "" || !has(t.lacks))
}

func notFound(tool Tool, tenant string) *Error {
	var names []string
	for _, t := range foreignTables() {
		if tool == "" || t.tool == tool {
			names = append(names, t.name+" of "+string(t.tool))
		}
	}
	if tenant != "" {
		return misconfigured(fmt.Sprintf("there is no table %s in schema %s", strings.Join(names, ", nor "), identifier(tenant)),
			"a tenant's history is looked for in its own schema alone; one without any history is taken over with baseline")
	}
	return misconfigured("there is no table "+strings.Join(names, ", nor "),
		"check that this is the database, and that its schema is in the search_path: add &search_path=… to the URL; a schema without any history is taken over with baseline")
}

// readForeign reads a tool's table and finds the files.
func readForeign(ctx context.Context, s *session, from foreignTable, table string, set migrations.Set) (versioned, repeatable []adopted, err error) {
	rows, err := s.within(ctx, fmt.Sprintf(from.sql, table))
	if err != nil {
		return nil, nil, err
	}
	history, err := from.read(rows)
	if err == nil && history.dirty != nil {
		history.dirty.Failure.Hint += "; import then"
		err = history.dirty
	}
	if err != nil {
		return nil, nil, err
	}
	versioned, repeatable, err = history.resolve(set)
	if err == nil && len(versioned)+len(repeatable) == 0 {
		err = inconsistent("nothing is applied according to it", "there is nothing to adopt: run migrate")
	}
	return versioned, repeatable, err
}

// plansOn returns why the set could not go on from that history, if it could not.
func plansOn(set migrations.Set, history []adopted, policy migrations.OutOfOrder) error {
	applied := make([]migrations.Applied, len(history))
	for i, a := range history {
		applied[i] = migrations.Applied{Version: a.Version, Name: a.Name, Checksum: a.Checksum}
	}
	_, err := set.Plan(applied, migrations.Policy{OutOfOrder: policy})
	return err
}

// about names the tool and the table of a history that is refused.
func about(tool Tool, table string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Failure.Message = fmt.Sprintf("the history of %s in %s: %s", tool, table, e.Failure.Message)
		return e
	}
	return fmt.Errorf("the history of %s in %s does not fit the files:\n%w", tool, table, err)
}
