package migrations

import (
	"slices"
	"strings"
	"testing"
)

// scripts are what the fuzz targets begin with: each holds something that could be taken for the end of a statement.
var scripts = []string{
	"",
	"SELECT 1; SELECT 2",
	"SELECT $a$;$a$ /* /* */ */; --",
	"CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, v text DEFAULT 'it''s;');\n\n-- why;\nCREATE INDEX ON t (v) WHERE v <> ';';\n",
	"INSERT INTO t VALUES (E'\\';', U&'d\\0061t\\+000061;', B'01', X'1F', N'x', $$;$$, $q$ $$ ; $q$);",
	"SELECT 'a'\n  -- goes on\n  ';b', E'a'\n'\\';';",
	"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 1 end; END; x",
	"CREATE OR REPLACE PROCEDURE p() LANGUAGE plpgsql AS $body$ BEGIN PERFORM 1; END; $body$; CALL p();",
	"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2;); SELECT 1",
	"SELECT \";\"\"\", U&\"\\;\", a$b, $1, 0x1F, 1_000, .5, 1..2, 1a FROM \"T\";",
	"SELECT '{}'::jsonb ->> 'a' @> 'b', 1 +--;\n2, 3 */* ; */ 4, @-5;",
	"CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY a.\"T\" (v);",
	"ALTER TABLE p DETACH PARTITION c CONCURRENTLY; REINDEX (VERBOSE) INDEX CONCURRENTLY i",
	"(;);)", "'a", "\"a", "$x$ $y$", "/* /* */", "\\i x", "\x00;\xff", "SELECT 1;\r\nSELECT\r2",
}

// FuzzSplit holds that what Split returns stands where it says, in order, complete and indivisible, and that nothing but
// white space, comments and semicolons is between.
func FuzzSplit(f *testing.F) {
	for _, seed := range scripts {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		s := Script{Path: "f.sql", Line: 3, SQL: sql}
		statements, err := s.Split()
		end := 0
		for _, st := range statements {
			if st.SQL == "" || st.Offset < end || sql[st.Offset:st.Offset+len(st.SQL)] != st.SQL {
				t.Fatalf("statement %q at %d, the one before ends at %d", st.SQL, st.Offset, end)
			}
			checkGap(t, sql[end:st.Offset])
			if line, column := s.At(st.Offset); line != st.Line || column != st.Column || line != 3+strings.Count(sql[:st.Offset], "\n") {
				t.Fatalf("place %d:%d, want %d:%d", st.Line, st.Column, line, column)
			}
			end = st.Offset + len(st.SQL)
			checkIndivisible(t, st)
		}
		checkPieces(t, s, statements, err)
		p, unclosed := err.(*Problem)
		switch {
		case err == nil:
			checkGap(t, sql[end:])
		case !unclosed || p.Kind != Unclosed || p.File != "f.sql" || p.Line < 3 || p.Line > 3+strings.Count(sql, "\n") || p.What == "" || p.Remedy == "":
			t.Fatalf("%#v", err)
		}
	})
}

// checkGap holds that there is nothing to execute in the text.
func checkGap(t *testing.T, text string) {
	t.Helper()
	if st, err := (Script{SQL: text}).Split(); err != nil || len(st) != 0 {
		t.Fatalf("%q is left between statements", text)
	}
}

// checkPieces holds that the pieces are the script, and that their statements are its statements.
func checkPieces(t *testing.T, s Script, want []Statement, err error) {
	t.Helper()
	for _, size := range []int{1, 20} {
		pieces := s.Pieces(size)
		if strings.Join(pieces, "") != s.SQL || err != nil && len(pieces) != 1 {
			t.Fatalf("%q in pieces: %q", s.SQL, pieces)
		}
		var got []string
		for _, piece := range pieces {
			statements, _ := Script{SQL: piece}.Split()
			for _, st := range statements {
				got = append(got, st.SQL)
			}
			if err == nil && len(statements) > 1 && statements[len(statements)-1].Offset+len(statements[len(statements)-1].SQL) > size {
				t.Fatalf("%q has several statements and is longer than %d", piece, size)
			}
		}
		if !slices.EqualFunc(got, want, func(sql string, st Statement) bool { return sql == st.SQL }) {
			t.Fatalf("%q in pieces has %q", s.SQL, got)
		}
	}
}

// checkIndivisible holds that a statement by itself is the same statement.
func checkIndivisible(t *testing.T, st Statement) {
	t.Helper()
	again, err := Script{SQL: st.SQL}.Split()
	if err != nil || len(again) != 1 || again[0].SQL != st.SQL || !slices.Equal(again[0].words, st.words) || !slices.Equal(again[0].tokens, st.tokens) {
		t.Fatalf("%q divides again into %+v (%v)", st.SQL, again, err)
	}
	if c, ok := st.Concurrent(); ok && (st.NonTransactional() == "" || c.Action == "") {
		t.Fatalf("%q: %+v, but %q", st.SQL, c, st.NonTransactional())
	}
	if st.ControlsTransaction() != "" && (st.NonTransactional() != "" || st.MayCommit()) {
		t.Fatalf("%q is of two kinds", st.SQL)
	}
}
