package migrations

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// dir makes a directory from pairs of name and content.
func dir(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		layout Layout
		files  fs.FS
		want   string // version name up@line down@line notx
	}{
		{LayoutPlain, dir("0002_b.sql", "SELECT 2", "0001_create_orders.sql", "SELECT 1", "README.md", "x", ".hidden.sql", "(", "10.sql", "SELECT 3"),
			`1 create_orders "SELECT 1"@1; 2 b "SELECT 2"@1; 10  "SELECT 3"@1`},
		{LayoutPlain, dir("1.2.3_x.sql", "\uFEFFSELECT 1", "1.10-y.sql", "SELECT 2", "20260101000000_z.sql", "SELECT 3"),
			`1.2.3 x "SELECT 1"@1; 1.10 y "SELECT 2"@1; 20260101000000 z "SELECT 3"@1`},
		{LayoutGolangMigrate, dir("1_a.up.sql", "SELECT 1", "1_a.down.sql", "SELECT -1", "2_b.up.sql", "SELECT 2", "2_b.down.sql", "-- none"),
			`1 a "SELECT 1"@1 down "SELECT -1"@1; 2 b "SELECT 2"@1`},
		{LayoutGoose, dir("1_a.sql", "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT -1;", "2_b.sql", "-- +goose NO TRANSACTION\n\n-- +goose up\n-- +goose StatementBegin\nVACUUM;\n-- +goose StatementEnd"),
			`1 a "SELECT 1;\n"@2 down "SELECT -1;"@4; 2 b "-- +goose StatementBegin\nVACUUM;\n-- +goose StatementEnd"@4 notx`},
		{LayoutDbmate, dir("1_a.sql", "-- migrate:up\nSELECT 1;\n\n-- migrate:down\nSELECT -1;", "2_b.sql", "-- migrate:up transaction:false\nVACUUM;\n-- migrate:down\n"),
			`1 a "SELECT 1;\n\n"@2 down "SELECT -1;"@5; 2 b "VACUUM;\n"@2 notx`},
		{LayoutTern, dir("1_a.sql", "SELECT 1;\n---- create above / drop below ----\nSELECT -1;", "2_b.sql", "SELECT 2;", "3_c.sql", "---- tern: disable-tx ----\nVACUUM"),
			`1 a "SELECT 1;\n"@1 down "SELECT -1;"@3; 2 b "SELECT 2;"@1; 3 c "---- tern: disable-tx ----\nVACUUM"@1 notx`},
		{LayoutSQLMigrate, dir("1_a.sql", "-- +migrate Up\nSELECT 1;\n-- +migrate Down\nSELECT -1;", "2-b.sql", "-- +migrate Up notransaction\nVACUUM;"),
			`1 a "SELECT 1;\n"@2 down "SELECT -1;"@4; 2 b "VACUUM;"@2 notx`},
		{LayoutFlyway, dir("V1__a.sql", "SELECT 1", "U1__a.sql", "SELECT -1", "V1_1__b_c.sql", "SELECT 2", "V1.2__d.sql", "VACUUM"),
			`1 a "SELECT 1"@1 down "SELECT -1"@1; 1.1 b_c "SELECT 2"@1; 1.2 d "VACUUM"@1 notx`},
	} {
		for _, named := range []Layout{c.layout, LayoutAuto, ""} {
			set, err := Load(c.files, named)
			if err != nil {
				t.Errorf("%s read as %q: %v", c.layout, named, err)
				continue
			}
			if got := describe(set); got != c.want || set.Layout != c.layout {
				t.Errorf("%s read as %q: layout %s\n%s\nwant\n%s", c.layout, named, set.Layout, got, c.want)
			}
		}
	}
}

func describe(s Set) string {
	var all []string
	for _, m := range s.Migrations {
		line := fmt.Sprintf("%s %s %q@%d", m.Version, m.Name, m.Up.SQL, m.Up.Line)
		if m.Down != nil {
			line += fmt.Sprintf(" down %q@%d", m.Down.SQL, m.Down.Line)
		}
		if m.NoTransaction {
			line += " notx"
		}
		all = append(all, line)
	}
	return strings.Join(all, "; ")
}

func TestLoadRefuses(t *testing.T) {
	const ok = "SELECT 1;"
	for _, c := range []struct {
		name  string
		files fs.FS
		kind  Kind
		want  string // "file:line"
	}{
		{"nothing there", dir(), NoFiles, ""},
		{"only others", dir("README.md", "x"), NoFiles, ""},
		{"duplicate", dir("1_a.sql", ok, "001_b.sql", ok), Duplicate, "1_a.sql"},
		{"duplicate by another spelling", dir("1.0_a.sql", ok, "1_b.sql", ok), Duplicate, "1_b.sql"},
		{"duplicate down", dir("1_a.up.sql", ok, "1_a.down.sql", ok, "01_a.down.sql", ok), Duplicate, "1_a.down.sql"},
		{"down alone", dir("1_a.up.sql", ok, "2_a.down.sql", ok), BadName, "2_a.down.sql"},
		{"no version", dir("1_a.sql", ok, "schema.sql", ok), BadName, "schema.sql"},
		{"no version in a pair", dir("1_a.up.sql", ok, "a.down.sql", ok), BadName, "a.down.sql"},
		{"a date with dividers", dir("2024-01-31_create.sql", ok), BadName, "2024-01-31_create.sql"},
		{"a time with dividers", dir("2024_01_31_120000_create.up.sql", ok), BadName, "2024_01_31_120000_create.up.sql"},
		{"version without a divider", dir("1a.sql", ok), BadName, "1a.sql"},
		{"empty", dir("1_a.sql", "-- nothing\n"), Empty, "1_a.sql"},
		{"empty section", dir("1_a.sql", "-- +goose Up\n-- +goose Down\nSELECT 1"), Empty, "1_a.sql"},
		{"mixture", dir("1_a.sql", "-- +goose Up\nSELECT 1", "2_b.up.sql", ok), MixedLayouts, "2_b.up.sql"},
		{"mixture with plain", dir("1_a.sql", ok, "2_b.sql", "-- migrate:up\nSELECT 1"), MixedLayouts, "2_b.sql"},
		{"psql include", dir("1_a.sql", "SELECT 1;\n\\i other.sql\n"), PsqlCommand, "1_a.sql:2"},
		{"psql copy", dir("1_a.sql", "\\copy t FROM 'x'"), PsqlCommand, "1_a.sql:1"},
		{"copy with data", dir("1_a.sql", "SELECT 1;\nCOPY t (a, b) FROM stdin WITH (FORMAT text);\n1\t'\n\\.\nSELECT 2;"), CopyFromStdin, "1_a.sql:2"},
		{"mixed", dir("1_a.sql", "CREATE TABLE t (a int);\nCREATE INDEX CONCURRENTLY i ON t (a);"), Mixed, "1_a.sql:2"},
		{"begin", dir("1_a.sql", "\nBEGIN;\nSELECT 1;"), TransactionWords, "1_a.sql:2"},
		{"commit", dir("1_a.sql", "SELECT 1;\n/* x */ commit"), TransactionWords, "1_a.sql:2"},
		{"rollback", dir("1_a.sql", "SELECT 1; ROLLBACK"), TransactionWords, "1_a.sql:1"},
		{"start transaction", dir("1_a.sql", "START TRANSACTION; SELECT 1"), TransactionWords, "1_a.sql:1"},
		{"prepare transaction", dir("1_a.sql", "PREPARE TRANSACTION 'x'"), TransactionWords, "1_a.sql:1"},
		{"latin 1", dir("1_a.sql", "SELECT 1;\nSELECT '\xe4';"), NotText, "1_a.sql:2"},
		{"utf-16", dir("1_a.sql", "S\x00E\x00"), NotText, "1_a.sql:1"},
		{"unclosed", dir("1_a.sql", "SELECT 1;\nSELECT 'a;"), Unclosed, "1_a.sql:2"},
		{"unknown directive", dir("1_a.sql", "-- schemawave: fast\nSELECT 1"), BadDirective, "1_a.sql:1"},
		{"directive with a value too many", dir("1_a.sql", "-- schemawave: no-transaction please\nSELECT 1"), BadDirective, "1_a.sql:1"},
		{"late directive", dir("1_a.sql", "SELECT 1;\n-- schemawave: no-transaction\n"), BadDirective, "1_a.sql:2"},
		{"min-compatible without a version", dir("1_a.sql", "-- schemawave: min-compatible\nSELECT 1"), BadDirective, "1_a.sql:1"},
		{"min-compatible too long to be reported", dir("2_a.sql", "-- schemawave: min-compatible 1"+strings.Repeat(".0", 2000)+"\nSELECT 1"), BadDirective, "2_a.sql:1"},
		{"min-compatible too new", dir("1_a.sql", "-- schemawave: min-compatible 2\nSELECT 1"), BadDirective, "1_a.sql"},
		{"tern template", dir("1_a.sql", "SELECT 1;\nSELECT {{.x}};\n---- create above / drop below ----\n"), Template, "1_a.sql:2"},
		{"goose environment", dir("1_a.sql", "-- +goose Up\n-- +goose ENVSUB ON\nSELECT 1;"), Template, "1_a.sql:2"},
		{"flyway placeholder", dir("V1__a.sql", "SELECT 1;\nSELECT '${x}';"), Template, "V1__a.sql:2"},
		{"flyway baseline", dir("V1__a.sql", ok, "B2__all.sql", ok), Unsupported, "B2__all.sql"},
		{"nothing but repeatable ones", dir("R__views.sql", ok), NoFiles, ""},
		{"a repeatable one with min-compatible", dir("V1__a.sql", ok, "R__views.sql", "-- schemawave: min-compatible 1\n"+ok), BadDirective, "R__views.sql"},
		{"flyway baseline", dir("V1__a.sql", ok, "B2__base.sql", ok), Unsupported, "B2__base.sql"},
		{"flyway configuration", dir("V1__a.sql", ok, "V1__a.sql.conf", "executeInTransaction=false"), Unsupported, "V1__a.sql.conf"},
		{"goose in Go", dir("1_a.sql", "-- +goose Up\nSELECT 1", "2_b.go", "package x"), Unsupported, "2_b.go"},
		{"sub-directory", dir("1_a.sql", ok, "more/2_b.sql", ok), Unsupported, "more/2_b.sql"},
		{"unknown goose annotation", dir("1_a.sql", "-- +goose Up\nSELECT 1;\n-- +goose Dwon"), BadDirective, "1_a.sql:3"},
		{"unknown dbmate option", dir("1_a.sql", "-- migrate:up transaction:no\nSELECT 1"), BadDirective, "1_a.sql:1"},
		{"unknown sql-migrate option", dir("1_a.sql", "-- +migrate Up notx\nSELECT 1"), BadDirective, "1_a.sql:1"},
		{"sql before up", dir("1_a.sql", "SELECT 0;\n-- +goose Up\nSELECT 1;"), BadDirective, "1_a.sql:1"},
		{"down before up", dir("1_a.sql", "-- +goose Down\n-- +goose Up\nSELECT 1;"), BadDirective, "1_a.sql:1"},
		{"two ups", dir("1_a.sql", "-- +goose Up\nSELECT 1;\n-- +goose Up\nSELECT 2;"), BadDirective, "1_a.sql:3"},
		{"unlocks", dir("1_a.sql", "SELECT pg_advisory_unlock_all();"), SessionState, "1_a.sql:1"},
		{"discards", dir("1_a.sql", "DISCARD ALL"), SessionState, "1_a.sql:1"},
		{"changes how the file is read", dir("1_a.sql", "SELECT 1;\nSET client_encoding TO 'LATIN1'"), SessionState, "1_a.sql:2"},
		{"changes how the file is read, by its other name", dir("1_a.sql", "SET NAMES 'WIN1252'"), SessionState, "1_a.sql:1"},
		{"isolation level", dir("1_a.sql", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1"), TransactionWords, "1_a.sql:1"},
		{"set local outside a transaction", dir("1_a.sql", "-- schemawave: no-transaction\nSET LOCAL search_path TO a; SELECT 1"), SessionState, "1_a.sql:2"},
		{"set_config outside a transaction", dir("1_a.sql", "-- schemawave: no-transaction\nSELECT pg_catalog.set_config('search_path', 'a', false)"), SessionState, "1_a.sql:2"},
		{"lock outside a transaction", dir("1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nLOCK t;\nSELECT 1"), SessionState, "1_a.sql:3"},
		{"capital letters", dir("1_a.sql", ok, "2_b.SQL", ok), BadName, "2_b.SQL"},
		{"changes what strings mean", dir("1_a.sql", "SET standard_conforming_strings = off"), SessionState, "1_a.sql:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := Load(c.files, LayoutAuto)
			var all *LoadError
			if !errors.As(err, &all) || len(set.Migrations) != 0 {
				t.Fatalf("accepted: %v", err)
			}
			p := all.Problems[0]
			at := p.File
			if p.Line > 0 {
				at = fmt.Sprintf("%s:%d", p.File, p.Line)
			}
			if len(all.Problems) != 1 || p.Kind != c.kind || at != c.want || p.What == "" || p.Remedy == "" {
				t.Errorf("%s %s, want %s %s: %v", p.Kind, at, c.kind, c.want, err)
			}
		})
	}
}

func TestLoadCollectsEverything(t *testing.T) {
	_, err := Load(dir("1_a.sql", "BEGIN;\n\\d\n;SELECT 1; COMMIT;", "2_b.sql", "", "x.sql", "SELECT 1"), LayoutAuto)
	want := "1_a.sql:1: BEGIN 1_a.sql:2: \\d 1_a.sql:3: COMMIT 2_b.sql: holds x.sql: its"
	var got []string
	for l := range strings.Lines(err.Error()) {
		got = append(got, strings.Join(strings.Fields(l)[:2], " "))
	}
	if strings.Join(got, " ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, " "), want)
	}
	if CodeOf(err) != ExitRejected {
		t.Errorf("exit %d", CodeOf(err))
	}
}

func TestLoadMissingDirectory(t *testing.T) {
	missing, err := fs.Sub(dir("a/1_a.sql", "SELECT 1"), "b")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Load(missing, LayoutAuto)
	var p *Problem
	if !errors.As(err, &p) || p.Kind != NoDirectory || CodeOf(err) != ExitConfig {
		t.Errorf("%v", err)
	}
	if _, err := Load(dir("1_a.sql", "SELECT 1"), "rails"); err == nil {
		t.Error("an unknown layout was accepted")
	}
}

func TestLoadAccepts(t *testing.T) {
	for name, sql := range map[string]string{
		"savepoints":               "SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE a;",
		"enum values":              "ALTER TYPE mood ADD VALUE 'x';",
		"settings beside VACUUM":   "SET search_path TO a; VACUUM t;",
		"explicitly mixed":         "-- a note\n\n-- schemawave: no-transaction\nCREATE TABLE t (a int);\nCREATE INDEX CONCURRENTLY i ON t (a);",
		"words in strings":         "SELECT 'BEGIN; \\i x'; SELECT $$ COMMIT; $$;",
		"directive in a string":    "SELECT '\n-- schemawave: fast\n';",
		"directive in a body":      "DO $$\n-- schemawave: fast\nBEGIN END $$;",
		"copy to stdout":           "COPY t TO STDOUT",
		"pg_dump's own settings":   "SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SELECT pg_catalog.set_config('search_path', '', false);",
		"access mode":              "SET TRANSACTION READ ONLY; SELECT 1",
		"windows line ends":        "-- schemawave: min-compatible 1\r\nSELECT 1;\r\n",
		"templates in other files": "SELECT '{{x}} ${y}'",
	} {
		if _, err := Load(dir("1_a.sql", sql), LayoutAuto); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A ConfigMap is mounted as links into a hidden directory.
func TestLoadIgnoresWhatKubernetesAdds(t *testing.T) {
	set, err := Load(dir("1_a.sql", "SELECT 1", "..2026_11_22/1_a.sql", "SELECT 1"), LayoutAuto)
	if err != nil || len(set.Migrations) != 1 {
		t.Errorf("%v", err)
	}
}

func TestNonTransactional(t *testing.T) {
	for sql, want := range map[string]string{
		"create unique index concurrently if not exists i on t (a)":              "CREATE INDEX CONCURRENTLY",
		"CREATE INDEX i ON t (concurrently)":                                     "",
		`CREATE INDEX "concurrently" ON t (a)`:                                   "",
		"DROP INDEX /* x */ CONCURRENTLY i":                                      "DROP INDEX CONCURRENTLY",
		"REINDEX TABLE t":                                                        "",
		"REINDEX (VERBOSE) TABLE CONCURRENTLY t":                                 "REINDEX CONCURRENTLY",
		"REINDEX (CONCURRENTLY) INDEX i":                                         "REINDEX CONCURRENTLY",
		"REINDEX (VERBOSE, TABLESPACE x) SCHEMA s":                               "REINDEX SCHEMA",
		"REINDEX DATABASE d":                                                     "REINDEX DATABASE",
		"VACUUM":                                                                 "VACUUM",
		"ALTER SYSTEM SET a = 1":                                                 "ALTER SYSTEM",
		"ALTER TABLE p DETACH PARTITION c CONCURRENTLY":                          "ALTER TABLE … DETACH PARTITION … CONCURRENTLY",
		"ALTER TABLE p DETACH PARTITION c":                                       "",
		"CREATE DATABASE d":                                                      "CREATE DATABASE",
		"DROP DATABASE d":                                                        "DROP DATABASE",
		"CREATE TABLESPACE t LOCATION '/x'":                                      "CREATE TABLESPACE",
		"CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p":                      "CREATE SUBSCRIPTION",
		"CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = off)": "",
		"ALTER SUBSCRIPTION s SET (failover)":                                    "ALTER SUBSCRIPTION … SET",
		"ALTER SUBSCRIPTION s SET (two_phase = false)":                           "ALTER SUBSCRIPTION … SET",
		"ALTER SUBSCRIPTION s SET (binary)":                                      "",
		"DROP SUBSCRIPTION s":                                                    "",
		"REINDEX (TABLESPACE system, CONCURRENTLY 0) TABLE t":                    "",
		"CLUSTER":           "CLUSTER of all tables",
		"CLUSTER (VERBOSE)": "CLUSTER of all tables",
		"CLUSTER (":         "CLUSTER of all tables",
		"CLUSTER t":         "",
		"REFRESH MATERIALIZED VIEW CONCURRENTLY v": "",
		"ALTER TYPE t ADD VALUE 'x'":               "",
	} {
		st, err := Script{SQL: sql}.Split()
		if err != nil || len(st) != 1 {
			t.Fatalf("%s: %v", sql, err)
		}
		if got := st[0].NonTransactional(); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

func TestConcurrent(t *testing.T) {
	for sql, want := range map[string]Concurrent{
		`CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "I x" ON ONLY a."T" (v)`: {Action: CreateIndex, Index: `"I x"`, Table: `a."T"`, Unique: true, Tail: "(v)"},
		"CREATE INDEX CONCURRENTLY ON t (v)":                                     {Action: CreateIndex, Table: "t", Tail: "(v)"},
		"drop index concurrently if exists a . i cascade":                        {Action: DropIndex, Index: "a.i"},
		"REINDEX (VERBOSE, TABLESPACE x) INDEX CONCURRENTLY a.i":                 {Action: ReindexIndex, Index: "a.i", Head: "REINDEX (VERBOSE, TABLESPACE x) INDEX CONCURRENTLY "},
		"REINDEX (CONCURRENTLY) TABLE t":                                         {Action: ReindexTable, Table: "t", Head: "REINDEX (CONCURRENTLY) TABLE "},
		`REINDEX SCHEMA CONCURRENTLY "S x"`:                                      {Action: ReindexSchema, Schema: `"S x"`, Head: "REINDEX SCHEMA CONCURRENTLY "},
		"REINDEX (VERBOSE, CONCURRENTLY ON) DATABASE d":                          {Action: ReindexDatabase, Head: "REINDEX (VERBOSE, CONCURRENTLY ON) DATABASE "},
		"REINDEX (CONCURRENTLY) DATABASE":                                        {Action: ReindexDatabase},
		"REINDEX (CONCURRENTLY OFF) TABLE t":                                     {},
		"REINDEX SCHEMA s":                                                       {},
		"ALTER TABLE IF EXISTS ONLY a.p DETACH PARTITION a.c CONCURRENTLY":       {Action: DetachPartition, Table: "a.p", Child: "a.c"},
		`CREATE INDEX CONCURRENTLY i ON U&"\0061" (v)`:                           {},
		`DROP INDEX CONCURRENTLY a.u&"i"`:                                        {},
		"REINDEX TABLE t":                                                        {},
		"CREATE INDEX i ON t (v)":                                                {},
		"REINDEX (":                                                              {},
		"CREATE INDEX CONCURRENTLY i":                                            {},
	} {
		st, err := Script{SQL: sql}.Split()
		if err != nil || len(st) != 1 {
			t.Fatalf("%s: %v", sql, err)
		}
		if got, ok := st[0].Concurrent(); ok != (want.Action != "") || ok && got != want {
			t.Errorf("%s: %+v", sql, got)
		}
	}
}

func TestEffect(t *testing.T) {
	for sql, want := range map[string]Effect{
		"CREATE DATABASE Orders TEMPLATE template0":                         {Object: "DATABASE", Name: "orders"},
		`DROP DATABASE IF EXISTS "Orders" WITH (FORCE)`:                     {Object: "DATABASE", Name: "Orders", Removes: true},
		"CREATE TABLESPACE t OWNER o LOCATION '/t'":                         {Object: "TABLESPACE", Name: "t"},
		"drop tablespace t":                                                 {Object: "TABLESPACE", Name: "t", Removes: true},
		"CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p":                 {Object: "SUBSCRIPTION", Name: "s"},
		"DROP SUBSCRIPTION s CASCADE":                                       {Object: "SUBSCRIPTION", Name: "s", Removes: true},
		`ALTER SUBSCRIPTION s ADD PUBLICATION P, "Q" WITH (refresh = true)`: {Object: "SUBSCRIPTION", Name: "s", Publications: []string{"p", "Q"}},
		"ALTER SUBSCRIPTION s DROP PUBLICATION p":                           {Object: "SUBSCRIPTION", Name: "s", Publications: []string{"p"}, Removes: true},
		"ALTER SUBSCRIPTION s SET PUBLICATION p":                            {},
		"ALTER SUBSCRIPTION s ADD PUBLICATION":                              {},
		"ALTER SUBSCRIPTION s REFRESH PUBLICATION":                          {},
		"DROP PUBLICATION p":                                                {},
		"ALTER DATABASE d SET TABLESPACE t":                                 {},
		`CREATE DATABASE U&"\0061"`:                                         {},
		"CREATE TABLE database (v int)":                                     {},
	} {
		st, err := Script{SQL: sql}.Split()
		if err != nil || len(st) != 1 {
			t.Fatalf("%s: %v", sql, err)
		}
		if got, ok := st[0].Effect(); ok != (want.Object != "") || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", sql, got)
		}
	}
}

func TestFold(t *testing.T) {
	for identifier, want := range map[string]string{
		"Orders": "orders", `"Orders"`: "Orders", `"a"""`: `a"`, `"""a"`: `"a`, "ÜBUNG": "Übung", `""""`: `"`, `"`: `"`,
	} {
		if got := Fold(identifier); got != want {
			t.Errorf("%s: %s, want %s", identifier, got, want)
		}
	}
}

func TestHasName(t *testing.T) {
	const sql = `SELECT a, "b""", 'c' FROM "D" -- e`
	for name, want := range map[string]bool{"A": true, `b"`: true, "b": false, "c": false, "D": true, "d": false, "e": false} {
		if got := HasName(sql, name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
