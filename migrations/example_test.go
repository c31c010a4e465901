package migrations_test

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"testing/fstest"

	"github.com/schemawave/schemawave/migrations"
)

//go:embed testdata/orders/*.sql
var embedded embed.FS

// orders is the embedded directory itself, whose files Load reads.
func orders() fs.FS {
	dir, err := fs.Sub(embedded, "testdata/orders")
	if err != nil {
		panic(err)
	}
	return dir
}

func ExampleLoad() {
	set, err := migrations.Load(orders(), migrations.LayoutAuto)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range set.Migrations {
		fmt.Println(m.Version, m.Name, m.NoTransaction)
	}
	// Output:
	// 1 create_orders false
	// 2 add_total false
	// 3 index_customer true
}

// All that is wrong is told at once, with its place and its remedy.
func ExampleLoad_problems() {
	_, err := migrations.Load(fstest.MapFS{
		"1_a.sql":    {Data: []byte("BEGIN;\nCREATE TABLE a (id int);\n")},
		"2_b.sql":    {Data: []byte("CREATE TABLE b (\n  v text DEFAULT 'it's'\n);\n")},
		"schema.sql": {Data: []byte("SELECT 1;")},
	}, migrations.LayoutPlain)
	var all *migrations.LoadError
	if errors.As(err, &all) {
		for _, p := range all.Problems {
			fmt.Printf("%s:%d: %s\n", p.File, p.Line, p.What)
		}
	}
	fmt.Println("exit code", migrations.CodeOf(err))
	// Output:
	// 1_a.sql:1: BEGIN would end or split the transaction that records this migration
	// 2_b.sql:2: string is never closed
	// schema.sql:0: its name does not begin with a version
	// exit code 65
}

func ExampleSet_Plan() {
	set, err := migrations.Load(orders(), migrations.LayoutAuto)
	if err != nil {
		fmt.Println(err)
		return
	}
	applied := []migrations.Applied{{Version: "1", Checksum: set.Migrations[0].Checksum}}
	plan, err := set.Plan(applied, migrations.Policy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range plan.Pending {
		fmt.Println(m.Up.Path)
	}

	applied[0].Checksum = "sha256:0123456789abcdef"
	_, err = set.Plan(applied, migrations.Policy{})
	var edited *migrations.EditedError
	if errors.As(err, &edited) {
		fmt.Println(edited.File, "was edited:", edited.Remedy())
	}
	// Output:
	// 0002_add_total.sql
	// 0003_index_customer.sql
	// 0001_create_orders.sql was edited: restore the file as it was, and put the change into a new migration
}

// The digest names a set by its versions and the bytes of its files; names do not count.
func ExampleSet_Digest() {
	digest := func(name, sql string) string {
		set, err := migrations.Load(fstest.MapFS{name: {Data: []byte(sql)}}, migrations.LayoutAuto)
		if err != nil {
			return err.Error()
		}
		return set.Digest()
	}
	fmt.Println(digest("1_a.sql", "SELECT 1;\n"))
	fmt.Println(digest("0001_renamed.sql", "SELECT 1;\n") == digest("1_a.sql", "SELECT 1;\n"))
	fmt.Println(digest("1_a.sql", "SELECT 2;\n") == digest("1_a.sql", "SELECT 1;\n"))
	// Output:
	// sha256:75a806b77f90d6f584535df2d8ddade9982e5c9979995dae565ce08a279d21a9
	// true
	// false
}

func ExampleScript_Split() {
	script := migrations.Script{Path: "1_a.sql", Line: 1, SQL: "CREATE TABLE a (v text DEFAULT ';');\nDO $$ BEGIN PERFORM 1; END $$; -- done;\n"}
	statements, err := script.Split()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, st := range statements {
		fmt.Printf("%d:%d %s\n", st.Line, st.Column, st.SQL)
	}
	// Output:
	// 1:1 CREATE TABLE a (v text DEFAULT ';')
	// 2:1 DO $$ BEGIN PERFORM 1; END $$
}

func ExampleRedact() {
	fmt.Println(migrations.Redact("INSERT INTO accounts (name, pin) VALUES ('Ada', 1815) -- for the demo", 200))
	// Output:
	// INSERT INTO accounts (name, pin) VALUES ('…', ?)
}
