package migrations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		want      []string
	}{
		{"nothing", "", nil},
		{"comments alone", "-- a;\n/* b; */ ;;", nil},
		{"two", "SELECT 1; SELECT 2", []string{"SELECT 1", "SELECT 2"}},
		{"comments inside stay, outside go", "/* a */ SELECT /* ; */ 1 -- x;\n; -- end", []string{"SELECT /* ; */ 1"}},
		{"doubled quote", "SELECT 'a'';b'; SELECT 2", []string{"SELECT 'a'';b'", "SELECT 2"}},
		{"backslash is an ordinary character", `SELECT 'a\'; SELECT 2`, []string{`SELECT 'a\'`, "SELECT 2"}},
		{"but not in E strings", `SELECT E'a\';b'; SELECT 2`, []string{`SELECT E'a\';b'`, "SELECT 2"}},
		{"nor in their continuation", "SELECT E'a' -- why\n 'b\\';c'; SELECT 2", []string{"SELECT E'a' -- why\n 'b\\';c'", "SELECT 2"}},
		{"an identifier that ends in e", `SELECT 1 AS fe'a\'; SELECT 2`, []string{`SELECT 1 AS fe'a\'`, "SELECT 2"}},
		{"bit and unicode strings", `SELECT B'1;', X'f;', N'a;', U&'\;'; x`, []string{`SELECT B'1;', X'f;', N'a;', U&'\;'`, "x"}},
		{"quoted identifiers", `SELECT ";""", U&"\;"; x`, []string{`SELECT ";""", U&"\;"`, "x"}},
		{"dollar quotes", "SELECT $$;$$, $a$;$$;$b$;$a$; x", []string{"SELECT $$;$$, $a$;$$;$b$;$a$", "x"}},
		{"dollar in an identifier", "SELECT a$b; c$", []string{"SELECT a$b", "c$"}},
		{"parameters", "SELECT $1;$2", []string{"SELECT $1", "$2"}},
		{"nested comments", "SELECT /* /* ; */ ; */ 1; x", []string{"SELECT /* /* ; */ ; */ 1", "x"}},
		{"operators and comments", "SELECT 1 +--;\n2; x", []string{"SELECT 1 +--;\n2", "x"}},
		{"rules", "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); x", []string{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "x"}},
		{"SQL-standard body", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2 AS end; END; x",
			[]string{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2 AS end; END", "x"}},
		{"procedure", "create or replace procedure p() begin /* ; */ atomic insert into t values (1); end; x",
			[]string{"create or replace procedure p() begin /* ; */ atomic insert into t values (1); end", "x"}},
		{"BEGIN alone", "BEGIN; SELECT 1; END; x", []string{"BEGIN", "SELECT 1", "END", "x"}},
		{"a column called atomic", "SELECT begin, atomic FROM t; x", []string{"SELECT begin, atomic FROM t", "x"}},
		{"a column named end in a body", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 end; SELECT 2 case; END; x",
			[]string{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 end; SELECT 2 case; END", "x"}},
		{"a body of nothing", "CREATE PROCEDURE p() BEGIN ATOMIC END; CREATE PROCEDURE q() BEGIN ATOMIC;; END; x",
			[]string{"CREATE PROCEDURE p() BEGIN ATOMIC END", "CREATE PROCEDURE q() BEGIN ATOMIC;; END", "x"}},
		{"a column called atomic and named end in a body", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT atomic end FROM t; SELECT begin atomic FROM t; END; x",
			[]string{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT atomic end FROM t; SELECT begin atomic FROM t; END", "x"}},
		{"a parameter called begin", "CREATE FUNCTION f(begin atomic) RETURNS int RETURN 1; x",
			[]string{"CREATE FUNCTION f(begin atomic) RETURNS int RETURN 1", "x"}},
		{"a letter that only looks like one of a key word", "CREATE FUNCT\u0131ON f() BEGIN ATOMIC; x", []string{"CREATE FUNCT\u0131ON f() BEGIN ATOMIC", "x"}},
		{"numbers of PostgreSQL 16", "SELECT 0x1F, 0b1, 0o17, 1_000.5_0e1_0, 1a; x", []string{"SELECT 0x1F, 0b1, 0o17, 1_000.5_0e1_0, 1a", "x"}},
		{"letters glued to a number", `SELECT 1e'\';', 0x'1;'; x`, []string{`SELECT 1e'\';', 0x'1;'`, "x"}},
		{"numbers", "SELECT 1.5e-3,.5,1..2; x", []string{"SELECT 1.5e-3,.5,1..2", "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Script{SQL: c.sql}.Split()
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, st := range got {
				texts = append(texts, st.SQL)
			}
			if fmt.Sprintf("%q", texts) != fmt.Sprintf("%q", c.want) {
				t.Errorf("%q\nwant %q", texts, c.want)
			}
		})
	}
}

func TestSplitPlaces(t *testing.T) {
	s := Script{Path: "a.sql", Line: 10, SQL: "-- head\nSELECT 'äö'; SELECT\n 2;\r\n\n\tSELECT 3"}
	got, err := s.Split()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"11:1", "11:14", "14:2"}
	for i, st := range got {
		if at := fmt.Sprintf("%d:%d", st.Line, st.Column); at != want[i] {
			t.Errorf("statement %d at %s, want %s", i, at, want[i])
		}
		if s.SQL[st.Offset:st.Offset+len(st.SQL)] != st.SQL {
			t.Errorf("statement %d is not at its offset", i)
		}
	}
	if line, column := s.At(len(s.SQL) + 5); line != 14 || column != 10 {
		t.Errorf("beyond the end: %d:%d", line, column)
	}
}

// A file of one line, as programs write them, costs no more than one of many.
func TestSplitReadsALongLineOnce(t *testing.T) {
	const statement, n = "INSERT INTO t VALUES ('ä');", 1 << 17
	began := time.Now()
	statements, err := Script{SQL: strings.Repeat(statement, n)}.Split()
	if err != nil || len(statements) != n {
		t.Fatalf("%d statements (%v), want %d", len(statements), err, n)
	}
	if last := statements[n-1]; last.Line != 1 || last.Column != 1+(n-1)*(len(statement)-1) {
		t.Errorf("the last is at %d:%d", last.Line, last.Column)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

func TestSplitNamesWhatIsUnclosed(t *testing.T) {
	for sql, what := range map[string]string{
		"SELECT 1;\n 'a":     "string",
		"\nSELECT $x$ $y$":   "dollar-quoted string",
		"SELECT\n/* /* */":   "comment",
		"SELECT 1,\n\"a; \n": "quoted identifier",
	} {
		_, err := Script{Path: "a.sql", Line: 1, SQL: sql}.Split()
		var p *Problem
		if !errors.As(err, &p) || p.Line != 2 || !strings.Contains(p.What, what) {
			t.Errorf("%q: %v", sql, err)
		}
	}
}

func TestRedact(t *testing.T) {
	for sql, want := range map[string]string{
		"INSERT INTO t (a) VALUES ('hunter2', E'x\\'y', 12.5, $$b$$)": "INSERT INTO t (a) VALUES ('…', '…', ?, $$…$$)",
		"SELECT 1 -- hunter2\n  , /* hunter2 */ \"A b\"":              `SELECT ? , "A b"`,
		"ALTER ROLE x PASSWORD 'hunter2":                              "ALTER ROLE x PASSWORD '…'",
		`\set password hunter2`:                                       `\…`,
		`SELECT "hunter2`:                                             `SELECT "…"`,
		"SELECT 0xDEADBEEF, 1_000_000, 0b1010, 0o17, 1.5_5e1_0":       "SELECT ?, ?, ?, ?, ?",
		"SELECT 5f4dcc3b5aa765d6, 0xfgh, $1":                          "SELECT ?, ?, $1",
	} {
		if got := Redact(sql, 200); got != want {
			t.Errorf("%q: %q, want %q", sql, got, want)
		}
	}
	if got := Redact("SELECT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 20); got != "SELECT aaaaaaaaaa…" {
		t.Errorf("%q", got)
	}
	if got := Redact("SELECT 1", 2); got != "" {
		t.Errorf("%q", got)
	}
}

func TestPieces(t *testing.T) {
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{"SELECT 1", []string{"SELECT 1"}},
		{"SELECT 1; SELECT 2; -- end", []string{"SELECT 1; ", "SELECT 2; -- end"}},
		{"SELECT 'longer;than;that'; a;b;c;d", []string{"SELECT 'longer;than;that'; ", "a;b;c;d"}},
		{"a; b; /* c; */ d; e; f", []string{"a; b; /* c; */ ", "d; e; f"}},
		{"-- nothing; but; a; comment", []string{"-- nothing; but; a; comment"}},
		{"a; b; c; d; 'unclosed", []string{"a; b; c; d; 'unclosed"}},
	} {
		if got := (Script{SQL: c.sql}).Pieces(10); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.sql, got, c.want)
		}
	}
}
