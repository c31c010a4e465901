package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// The pieces that statements are put together from: each is an expression whose inside looks like the end of a statement.
var pieces = []string{
	"'a;b'", "'it''s;'", `'c:\;'`, `E'\';'`, `E'a\\'`, "E'a'\n  ';b'", "E'a' -- ;\n '\\';'", "B'01'", "X'1F'", "U&'\\003B;'", "N';'",
	"$$;$$", "$a$;$$;$b$;$a$", "$_1$'$_1$", `(SELECT 1 AS ";")`, `(SELECT 1 AS U&";\003B")`, "1.5e-3", ".5", "/* ; */ 1", "/* /* ; */ ' */ 1",
	"1 -- ;'\n", "1 --\n + 2", "(1)", "CASE WHEN true THEN ';' END", "(SELECT x.case FROM (SELECT 1 AS case) x)", "1 /**/", "'ä;€'", "(array[1,2])[1]",
}

// TestSplitAgreesWithTheServer has PostgreSQL divide the same texts: by the number of statements it executes, and by
// refusing to prepare more than one at a time.
func TestSplitAgreesWithTheServer(t *testing.T) {
	conn, err := pgconn.Connect(t.Context(), freshURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	texts := []string{
		"CREATE TABLE t (a int); CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2;); SELECT 1",
		"CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN x > 0 THEN 1 ELSE 2 END; SELECT 3 AS end; END; SELECT f(1);",
		"CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; SELECT CASE 1 WHEN 1 THEN CASE 2 WHEN 2 THEN 3 END END; END; CALL p()",
		"CREATE FUNCTION begin(atomic int) RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2'; SELECT begin(1);",
		"DO $$ BEGIN PERFORM 1; END; $$; ;; /* ; */ -- ;\n SELECT 1",
		";", "-- nothing", "",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		var b strings.Builder
		for range 1 + random.IntN(6) {
			b.WriteString("SELECT " + pieces[random.IntN(len(pieces))] + ", " + pieces[random.IntN(len(pieces))])
			b.WriteString([]string{";", " ;", "\n;", ";;", "; -- x;\n", ";/* ' */"}[random.IntN(6)])
		}
		texts = append(texts, b.String())
	}
	for i, text := range texts {
		statements, err := migrations.Script{SQL: text}.Split()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		results, err := conn.Exec(t.Context(), "BEGIN;"+text+"\n;ROLLBACK").ReadAll()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if n := len(results) - 2; n != len(statements) {
			t.Errorf("%q: the server ran %d statements, split has %d", text, n, len(statements))
		}
		for j, st := range statements {
			if strings.HasPrefix(st.SQL, "SELECT f(") || strings.HasPrefix(st.SQL, "SELECT begin(") || strings.HasPrefix(st.SQL, "CALL") {
				continue // what it calls was rolled back
			}
			if _, err := conn.Prepare(t.Context(), fmt.Sprintf("s%d_%d", i, j), st.SQL, nil); err != nil {
				t.Errorf("%q: %v", st.SQL, err)
			}
		}
	}
}
