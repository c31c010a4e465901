package runner

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/schemawave/schemawave/migrations"
)

// An older overlay, synced again, does not know what the newer migrations in the database demand of readers.
func TestMinCompatibleOfADatabaseThatIsAhead(t *testing.T) {
	url, older, newer := freshURL(t), t.TempDir(), t.TempDir()
	for path, sql := range map[string]string{
		filepath.Join(older, "3_a.sql"): "CREATE TABLE a (id int);",
		filepath.Join(newer, "3_a.sql"): "CREATE TABLE a (id int);",
		filepath.Join(newer, "4_b.sql"): "-- schemawave: min-compatible 2\nCREATE TABLE b (id int);",
	} {
		if err := os.WriteFile(path, []byte(sql), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		dir, flag string
		outcome   migrations.Outcome
		want      migrations.Version
	}{
		{newer, "", migrations.OutcomeSucceeded, "2"},
		{newer, "1", migrations.OutcomeCurrent, "1"}, // in place of what the migrations say
		{older, "", migrations.OutcomeAhead, "2"},
		{older, "1", migrations.OutcomeAhead, "2"},
		{older, "3", migrations.OutcomeAhead, "3"},
	} {
		report := filepath.Join(t.TempDir(), "report.json")
		args := []string{"migrate", "--dir", test.dir, "--database", "orders", "--report", report}
		if test.flag != "" {
			args = append(args, "--min-compatible", test.flag)
		}
		_, _, stderr := ended(t, program(t, url, args...))
		if r := reported(t, report); r.Outcome != test.outcome || r.MinCompatible != test.want {
			t.Errorf("%+v: %s, %q: %s", test, r.Outcome, r.MinCompatible, stderr)
		}
	}
}
