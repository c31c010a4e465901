package migrations

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// stepsOf are those of all migrations of a directory.
func stepsOf(t *testing.T, files fs.FS) []Step {
	t.Helper()
	set, err := Load(files, LayoutAuto)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := set.Plan(nil, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	steps, err := plan.Steps()
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestSteps(t *testing.T) {
	steps := stepsOf(t, dir("1_a.sql", "CREATE TABLE a (id int);\nCREATE INDEX ON public.a (id);\n\nCREATE INDEX ON \"A\" (id); CREATE INDEX ON A (id);\nSELECT f();",
		"2_b.sql", "CREATE TABLE IF NOT EXISTS b (id int);\nALTER TABLE b ADD COLUMN x int REFERENCES a;", "3_c.sql", "CREATE INDEX CONCURRENTLY c ON a (id)"))
	var got []string
	for _, step := range steps {
		for _, st := range step.Statements {
			said := fmt.Sprintf("%s:%d", step.Migration.Up.Path, st.Line)
			for _, l := range st.Locks.Tables {
				said += fmt.Sprintf(" %s %s %t", l.Mode, l.Table, l.New)
			}
			got = append(got, strings.TrimSpace(said+" "+st.Locks.Unseen))
		}
	}
	want := []string{
		"1_a.sql:1",
		"1_a.sql:2 SHARE public.a false", // it may be another one
		`1_a.sql:4 SHARE "A" false`,
		"1_a.sql:4 SHARE A true",
		"1_a.sql:5 what the code does",
		"2_b.sql:1",
		"2_b.sql:2 SHARE ROW EXCLUSIVE a true ACCESS EXCLUSIVE b false", // b may have been there
		"3_c.sql:1 SHARE UPDATE EXCLUSIVE a true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A temporary table is gone when its file ends: what has its name in the next one is somebody else's.
func TestStepsForgetTemporaryTables(t *testing.T) {
	steps := stepsOf(t, dir("1_a.sql", "CREATE LOCAL TEMP TABLE a (id int); ALTER TABLE a ADD b int; CREATE UNLOGGED TABLE c (id int)",
		"2_b.sql", "ALTER TABLE a ADD b int; ALTER TABLE c ADD b int"))
	first, second := steps[0].Statements[1].Locks.Tables, steps[1].Statements
	if !first[0].New || second[0].Locks.Tables[0].New || !second[1].Locks.Tables[0].New {
		t.Errorf("%+v, then %+v", first, second)
	}
}

// What a statement is about, and what else it may lock, where a simpler reading would be wrong.
func TestLocksOfWhatIsHardToRead(t *testing.T) {
	for sql, want := range map[string]string{
		"CREATE STATISTICS s ON (extract(year FROM d)), id FROM o": "SHARE UPDATE EXCLUSIVE o",
		"DROP TABLE o":                                              "ACCESS EXCLUSIVE o, " + unseenDropped,
		"DROP FOREIGN TABLE IF EXISTS o":                            "ACCESS EXCLUSIVE o, " + unseenDropped,
		"ALTER TABLE o ALTER type SET DEFAULT 1":                    "ACCESS EXCLUSIVE o",
		"ALTER TABLE o ADD type int, ALTER COLUMN type TYPE bigint": "ACCESS EXCLUSIVE o, " + unseenForeign,
	} {
		statements, err := Script{SQL: sql}.Split()
		if err != nil {
			t.Fatal(err)
		}
		l := statements[0].Locks()
		said := fmt.Sprintf("%s %s", l.Tables[0].Mode, l.Tables[0].Table)
		if l.Unseen != "" {
			said += ", " + l.Unseen
		}
		if said != want || len(l.Tables) != 1 {
			t.Errorf("%s: %s, want %s", sql, said, want)
		}
	}
}

// What is not understood is said to be unknown, never to be free of locks.
func TestUnknownLocks(t *testing.T) {
	for _, sql := range []string{"FROBNICATE orders", "CREATE GADGET x", "ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b", "SELECT f()", "CALL p()", "VACUUM", "REINDEX SCHEMA public",
		"CREATE INDEX", "DROP INDEX", "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c", "COMMENT ON COLUMN x IS 'y'", "SECURITY LABEL ON TABLE a IS 'x'"} {
		statements, err := Script{SQL: sql}.Split()
		if err != nil {
			t.Fatal(err)
		}
		if l := statements[0].Locks(); l.Unseen == "" {
			t.Errorf("%s: %+v", sql, l)
		}
	}
}

func FuzzLocks(f *testing.F) {
	for _, sql := range []string{"ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c, DROP d", "VACUUM (FULL", "REINDEX (", "CREATE TABLE a PARTITION OF", "LOCK a IN", "DROP INDEX a,"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		statements, err := Script{SQL: sql}.Split()
		if err != nil {
			return
		}
		for _, st := range statements {
			for _, l := range st.Locks().Tables {
				if l.Table+l.Index == "" || !slices.Contains(lockModes(), l.Mode) {
					t.Errorf("%q: %+v", sql, l)
				}
			}
		}
	})
}
