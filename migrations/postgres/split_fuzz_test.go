package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// grammar is the server's parser. Nothing it is asked about is executed: the session is inside a transaction that has failed.
type grammar struct {
	conn *pgconn.PgConn
}

func openGrammar(t testing.TB) grammar {
	t.Helper()
	url, err := server.NewDatabase(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgconn.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(context.Background(), "BEGIN; SELECT 1/0").ReadAll(); sqlState(err) != "22012" {
		t.Fatalf("fail a transaction: %v", err)
	}
	return grammar{conn}
}

// statements counts what the text holds: none, one, or more than one as 2; known is false if the text is no SQL. The server
// parses all of what it is to prepare, refuses more than one statement, and then any but those that end the transaction.
func (g grammar) statements(t testing.TB, text string) (n int, known bool) {
	t.Helper()
	_, err := g.conn.Prepare(context.Background(), "", text, nil)
	var pe *pgconn.PgError
	switch {
	case err == nil && isEmpty(t, g, text):
		return 0, true
	case err == nil:
		return 1, true
	case !errors.As(err, &pe):
		t.Fatalf("%q: %v", text, err)
	case pe.Code == "25P02":
		return 1, true
	case pe.Message == "cannot insert multiple commands into a prepared statement":
		return 2, true
	}
	return 0, false
}

// isEmpty tells nothing at all from a statement that ends a transaction: together with another statement, nothing is one.
func isEmpty(t testing.TB, g grammar, text string) bool {
	t.Helper()
	n, known := g.statements(t, "SELECT;"+text)
	return known && n == 1
}

func sqlState(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// FuzzSplitAgainstTheServer holds that whatever the server takes for SQL is divided as the server does: each statement is
// exactly one for the server, and none is left out.
func FuzzSplitAgainstTheServer(f *testing.F) {
	g := openGrammar(f)
	for _, fragment := range fragments {
		f.Add(fragment)
		f.Add("SELECT 1;" + fragment + "; SELECT 2")
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return // Load refuses it
		}
		n, known := g.statements(t, text)
		if !known {
			return
		}
		statements, err := migrations.Script{SQL: text}.Split()
		if err != nil || min(len(statements), 2) != n {
			t.Fatalf("%q: split has %d statements (%v), the server %d", text, len(statements), err, n)
		}
		for _, st := range statements {
			if n, known := g.statements(t, st.SQL); n != 1 {
				t.Fatalf("%q of %q: the server has %d statements (SQL: %t)", st.SQL, text, n, known)
			}
		}
	})
}

// FuzzJoinedFragments joins statements whose ends are known, each byte of picks choosing one and what follows it, with one
// among them that fails, and executes all that. The server has to count the statements before it as Split does, and to point into it.
func FuzzJoinedFragments(f *testing.F) {
	g := openGrammar(f)
	for _, fragment := range fragments {
		if n, known := g.statements(f, fragment); n != 1 {
			f.Fatalf("%q: %d statements (SQL: %t)", fragment, n, known)
		}
	}
	url, err := server.NewDatabase(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	conn, err := pgconn.Connect(context.Background(), url)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(context.Background(), "CREATE TABLE ruled (a int)").ReadAll(); err != nil {
		f.Fatal(err)
	}
	for i := range fragments {
		f.Add([]byte{byte(i), byte(i + 1), byte(i + 2)}, []byte{byte(i), byte(i + 1), byte(i + 2)}, uint8(i))
	}
	f.Fuzz(func(t *testing.T, picks, gaps []byte, failing uint8) {
		if len(picks) == 0 || len(picks) > 50 {
			return
		}
		text, want := join(picks, gaps, int(failing)%len(picks))
		statements, err := migrations.Script{SQL: text}.Split()
		if err != nil || len(statements) != len(want) {
			t.Fatalf("%q: %d statements (%v), want %d", text, len(statements), err, len(want))
		}
		for i, st := range statements {
			if st.SQL != want[i] {
				t.Fatalf("%q of %q, want %q", st.SQL, text, want[i])
			}
		}
		const begin = "BEGIN;"
		results, err := conn.Exec(context.Background(), begin+text+"\n;ROLLBACK").ReadAll()
		if _, err := conn.Exec(context.Background(), "ROLLBACK").ReadAll(); err != nil {
			t.Fatal(err)
		}
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || pe.Code != "42P01" || pe.Position == 0 {
			t.Fatalf("%q: %v", text, err)
		}
		failed := statements[int(failing)%len(picks)]
		at := utf8.RuneCountInString(begin + text[:failed.Offset])
		if inside := int(pe.Position) - 1 - at; len(results)-1 != int(failing)%len(picks) || inside < 0 || inside >= utf8.RuneCountInString(failed.SQL) {
			t.Fatalf("%q: the server ran %d and points %d into %q", text, len(results)-1, inside, failed.SQL)
		}
	})
}

// join puts fragments together; the one at failing refers to a table that is not there.
func join(picks, gaps []byte, failing int) (text string, statements []string) {
	var b strings.Builder
	for i, pick := range picks {
		fragment := fragments[int(pick)%len(fragments)]
		if i == failing {
			fragment = "SELECT $$;$$ /* ä;' */ FROM nowhere"
		}
		statements = append(statements, fragment)
		gap := byte(i)
		if i < len(gaps) {
			gap = gaps[i]
		}
		b.WriteString(fragment + separators[int(gap)%len(separators)])
	}
	return b.String(), statements
}

// separators end one statement and come before the next.
var separators = []string{";", " ;\n", "\n;;", "; -- it's; \"x $$\n", ";/* ' /* ; */ \" $$ */", "-- ;'\r;", "/**/;--\n", ";\t\f;\r\n", ";/*--*/"}

// fragments are statements that can be executed any number of times, in any order, in a transaction. Each holds something
// that could be taken for the end of a statement, or for its going on.
var fragments = []string{
	"SELECT 'a;b', 'it''s;', '', ''''",
	`SELECT 'c:\;', 'd\'`,
	`SELECT E'\';', E'a\\', e'\\\'''', E'\x3b\073\u003b;'`,
	"SELECT E'a'\n  ';b\\';'",
	"SELECT E'a' -- ;\n '\\';', 'b' -- ;'\n\t\n';'",
	"SELECT 'a'\r'b;'\r\n\t'c;'",
	"SELECT B'01', b'1'\n'0', X'1F', x'', N'n;', n'\\'",
	`SELECT U&'\003B;', U&'d!0061;' UESCAPE '!', u&'\\'`,
	`SELECT U&'a;003Bb;;' UESCAPE ';'`,
	"SELECT $$;$$, $a$;$$;$b$;$a$, $_1$'$_1$, $ä$;$ä$",
	"SELECT $a$ $aa$ $a $$ $a$, $$ $a$$, $q$$q$",
	`SELECT 1 AS ";", 2 AS """;""", 3 AS "a'b", 4 AS "--", 5 AS "/*"`,
	`SELECT 1 AS U&";\003B", 2 AS u&"a!003B" UESCAPE '!'`,
	"SELECT 1 AS a$b, 2 AS a$$, 3 AS _$1$, 4 AS ä$ö$",
	"SELECT 1.5e-3, .5, 5., 1.e5, 1e+5, 0.5e1, 1.5/.5",
	"SELECT (array[1,2,3])[1:2], (array[[1],[2]])[1][1]",
	"SELECT /* ; */ 1, /* /* ; */ ' */ 2, /**/ /***/ /*/**/*/ /*;*//*'*/ 3",
	"SELECT 1 -- ;'\n, 2 --\n + --$$\n3",
	"SELECT 1 +--;\n2, 3 -/* ; */4, 5 */**/6, 7 *--'\n8",
	"SELECT '{\"a\": \";\"}'::jsonb ->> 'a', '[1]'::jsonb @> '1'::jsonb, '{}'::jsonb #> '{}', @ -5, |/ 4, !!'a'::tsquery, 5 % 3, 2 ^ 3",
	"SELECT '{\"a\":1}'::jsonb ? ';', '{}'::jsonb ?| array[';'], '{}'::jsonb - ';'",
	"SELECT CASE WHEN true THEN ';' END, CASE 1 WHEN 1 THEN CASE 2 WHEN 2 THEN 3 END END",
	"SELECT 1 end, 2 case, 3 AS begin, 4 atomic",
	"SELECT x.case, x.end FROM (SELECT 1 AS case, 2 AS end) x",
	"SELECT begin, atomic FROM (SELECT 1 AS begin, 2 AS atomic) begin",
	"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 ELSE 2 END; SELECT 3 AS end; END",
	"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 end; SELECT 3 AS x, 4 begin; SELECT 2 case; END",
	"CREATE OR REPLACE FUNCTION g(begin int, atomic int DEFAULT 1) RETURNS int RETURN CASE begin WHEN 1 THEN atomic END",
	"create or replace procedure p() begin /* ; */ atomic select ';'; select 1;;; end",
	"CREATE OR REPLACE PROCEDURE q() BEGIN ATOMIC END",
	"CREATE OR REPLACE FUNCTION i() RETURNS int BEGIN ATOMIC SELECT atomic end FROM (SELECT 1 AS atomic) x; SELECT begin atomic FROM (SELECT 1 AS begin) x; END",
	"CREATE OR REPLACE FUNCTION i() RETURNS int BEGIN ATOMIC SELECT (SELECT x.end FROM (SELECT 1 AS end) x); RETURN 1; END",
	"CREATE OR REPLACE PROCEDURE q() LANGUAGE sql AS $end$ SELECT 1; SELECT 2; $end$",
	"CREATE OR REPLACE FUNCTION h() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2;'",
	"CREATE OR REPLACE FUNCTION begin(atomic int) RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2'",
	"CREATE OR REPLACE FUNCTION pg_temp.function() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END; $f$",
	"DO $$ BEGIN PERFORM 1; IF true THEN NULL; END IF; END; $$",
	"DO LANGUAGE plpgsql 'BEGIN PERFORM $x$;$x$; END'",
	"CREATE OR REPLACE RULE r AS ON INSERT TO ruled DO ALSO (SELECT 1; SELECT ';'; SELECT (2);)",
	"CREATE OR REPLACE RULE s AS ON INSERT TO ruled DO INSTEAD (;; INSERT INTO ruled SELECT (1); DELETE FROM ruled)",
	"CREATE TABLE IF NOT EXISTS t (v text DEFAULT ';' CHECK (v <> E'\\';'))",
	"DROP TABLE IF EXISTS t CASCADE",
	"SET LOCAL search_path TO \";\", public",
	"SAVEPOINT \";\"",
	"COMMENT ON SCHEMA public IS 'it''s; -- not /* a comment'",
	"EXPLAIN (COSTS off) SELECT ';'",
	"VALUES (1, ';'), (2, $$;$$)",
	"(SELECT 1) UNION ALL ((SELECT 2))",
	"WITH x AS (SELECT ';' AS y), z AS (SELECT 1) SELECT * FROM x, z",
}
