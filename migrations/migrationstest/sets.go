package migrationstest

import (
	"fmt"
	"testing/fstest"

	"github.com/schemawave/schemawave/migrations"
)

// What the migrations of this package leave, and how it is seen: the first creates a table, the others enter their versions.
const (
	first     = migrations.Version("1")
	createSQL = "CREATE TABLE step (place serial PRIMARY KEY, n text NOT NULL);"
	stepsSQL  = "SELECT n FROM step ORDER BY place"
	laterSQL  = "SELECT n FROM later"
	tablesSQL = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
)

// files is a directory of migrations, by version.
type files map[migrations.Version]string

// steps makes the files of these versions.
func steps(versions ...migrations.Version) files {
	f := files{first: createSQL}
	for _, v := range versions {
		f[v] = enter(string(v))
	}
	return f
}

// enter is the SQL that leaves a step.
func enter(n string) string { return fmt.Sprintf("INSERT INTO step (n) VALUES ('%s');", n) }

// with returns the files with one replaced or added.
func (f files) with(v migrations.Version, sql string) files {
	changed := files{v: sql}
	for other, sql := range f {
		if other != v {
			changed[other] = sql
		}
	}
	return changed
}

// without returns the files but one.
func (f files) without(v migrations.Version) files {
	fewer := f.with(v, "")
	delete(fewer, v)
	return fewer
}

// set loads the files.
func (f files) set() migrations.Set {
	dir := fstest.MapFS{}
	for v, sql := range f {
		dir[name(v)] = &fstest.MapFile{Data: []byte(sql)}
	}
	set, _ := migrations.Load(dir, migrations.LayoutPlain) // they are this package's own, and right: no run of nothing would pass
	return set
}

// name is the file of a version.
func name(v migrations.Version) string { return "0" + string(v) + "_step.sql" }
