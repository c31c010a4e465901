package migrations

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// FuzzLoad reads a directory of two files by every layout. What is loaded has to be valid, and what is refused has to be
// explained.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"SELECT 1", "\ufeff-- schemawave: min-compatible 1\r\nSELECT 1;\r\n", "-- schemawave: no-transaction\nVACUUM;\nCREATE TABLE t ();",
		"-- +goose Up\nSELECT 1;\n-- +goose Down", "-- +goose NO TRANSACTION\n-- +goose up\n-- +goose StatementBegin\nVACUUM;\n-- +goose StatementEnd",
		"-- migrate:up transaction:false\nVACUUM;\n-- migrate:down\nSELECT 1", "--migrate:", "-- migrate:up x",
		"SELECT 1;\n---- create above / drop below ----\nSELECT 2;\n", "---- tern: disable-tx ----\nSELECT {{.x}}",
		"-- +migrate Up notransaction\nSELECT 1;\n-- +migrate Down\nSELECT 2;", "-- +migrate Up x", "SELECT '${x}'",
		"BEGIN; SELECT 1; COMMIT", "COPY t FROM STDIN;\n1\t'\n\\.\n", "\\i x", "DISCARD ALL", "SELECT '\n-- +goose Down\n'", "SELECT 1;\n-- schemawave: x",
		"CREATE INDEX CONCURRENTLY i ON t (a)", "-- nothing", "S\x00", "'\xff'", "CREATE TABLE t (a int);\nCREATE INDEX CONCURRENTLY i ON t (a)",
	} {
		for _, names := range [][2]string{
			{"1_a.sql", "0002_b.sql"}, {"1_a.up.sql", "1_a.down.sql"}, {"V1_1__a.sql", "U1.1__a.sql"}, {"1.sql", "1.0_x.sql"}, {"R__a.sql", "V.sql"}, {"R__a.sql", "V1__a.sql"}, {"V1__a.sql", "R__.sql"},
			{".sql", "1_x.go"}, {"V1__a.sql.conf", "B1__.sql"}, {"1_a.sql", "d/1_a.sql"},
		} {
			f.Add(names[0], text, names[1], "SELECT 2;")
			f.Add(names[0], text, names[1], text)
		}
	}
	f.Fuzz(func(t *testing.T, name1, text1, name2, text2 string) {
		if !fs.ValidPath(name1) || !fs.ValidPath(name2) || name1 == "." || name2 == "." || name1 == name2 ||
			strings.HasPrefix(name1, name2+"/") || strings.HasPrefix(name2, name1+"/") {
			return
		}
		files := dir(name1, text1, name2, text2)
		for _, layout := range Layouts() {
			set, err := Load(files, layout)
			if err != nil {
				checkRefused(t, files, set, err)
				continue
			}
			checkLoaded(t, files, set)
			if again, err := Load(files, set.Layout); err != nil || !reflect.DeepEqual(again, set) {
				t.Fatalf("read as %s: %v: %+v, but %+v", set.Layout, err, again, set)
			}
		}
	})
}

// checkRefused holds that every problem tells where it is, within the files, and what to do.
func checkRefused(t *testing.T, files fstest.MapFS, set Set, err error) {
	t.Helper()
	var all *LoadError
	if !errors.As(err, &all) || len(all.Problems) == 0 || !reflect.DeepEqual(set, Set{}) {
		t.Fatalf("%T %v, %+v", err, err, set)
	}
	for _, p := range all.Problems {
		if p.Kind == "" || p.What == "" || p.Remedy == "" || (p.File == "") != (p.Kind == NoFiles || p.Kind == NoDirectory) {
			t.Fatalf("%+v", p)
		}
		if p.File == "" {
			continue
		}
		file := files[p.File]
		if file == nil || p.Line < 0 || p.Line > 1+strings.Count(string(file.Data), "\n") {
			t.Fatalf("%+v is not in the files", p)
		}
	}
}

// checkLoaded holds that a set is in order, complete and runnable.
func checkLoaded(t *testing.T, files fstest.MapFS, set Set) {
	t.Helper()
	if set.Layout == LayoutAuto || set.Layout == "" || len(set.Migrations) == 0 || set.Digest() == "" {
		t.Fatalf("%+v", set)
	}
	used := map[string]bool{}
	for i, m := range set.Migrations {
		if i > 0 && set.Migrations[i-1].Version.Compare(m.Version) >= 0 {
			t.Fatalf("%s after %s", m.Version, set.Migrations[i-1].Version)
		}
		if v, err := ParseVersion(string(m.Version)); err != nil || v != m.Version || m.MinCompatible.Compare(m.Version) > 0 {
			t.Fatalf("version %q, min-compatible %q: %v", m.Version, m.MinCompatible, err)
		}
		sum := sha256.Sum256(files[m.Up.Path].Data)
		if used[m.Up.Path] || m.Checksum != "sha256:"+hex.EncodeToString(sum[:]) {
			t.Fatalf("%s, %s", m.Up.Path, m.Checksum)
		}
		used[m.Up.Path] = true
		checkScript(t, files, m.Up)
		checkRunnable(t, m)
		if m.Down != nil {
			if used[m.Down.Path] && m.Down.Path != m.Up.Path {
				t.Fatalf("%s is used twice", m.Down.Path)
			}
			used[m.Down.Path] = true
			checkScript(t, files, *m.Down)
		}
	}
	checkRepeatables(t, files, set, used)
	for path, file := range files {
		if used[path] || !strings.HasSuffix(path, ".sql") || strings.HasPrefix(path, ".") || strings.Contains(path, "/") {
			continue
		}
		if st, err := (Script{SQL: strings.TrimPrefix(string(file.Data), "\ufeff")}).Split(); err != nil || len(st) > 0 {
			t.Fatalf("%s was left out", path)
		}
	}
	for _, m := range set.Migrations {
		if upto, err := set.Upto(string(m.Version)); err != nil || upto.Latest() != m.Version {
			t.Fatalf("up to %s: %v", m.Version, err)
		}
	}
}

// checkRepeatables holds that repeatable migrations are in the order of their names, each once, and told from all others.
func checkRepeatables(t *testing.T, files fstest.MapFS, set Set, used map[string]bool) {
	t.Helper()
	if len(set.Repeatables) > 0 && (set.Layout != LayoutFlyway || set.Digest() == set.HistoryDigest()) {
		t.Fatalf("%+v", set)
	}
	for i, m := range set.Repeatables {
		if i > 0 && set.Repeatables[i-1].Name >= m.Name {
			t.Fatalf("%s after %s", m.Name, set.Repeatables[i-1].Name)
		}
		if m.Version != "" || m.MinCompatible != "" || m.Down != nil || used[m.Up.Path] || m.Up.Path != m.ID()+".sql" {
			t.Fatalf("%+v", m)
		}
		used[m.Up.Path] = true
		checkScript(t, files, m.Up)
		checkRunnable(t, m)
	}
}

// checkScript holds a script to its place in its file.
func checkScript(t *testing.T, files fstest.MapFS, s Script) {
	t.Helper()
	rest := strings.TrimPrefix(string(files[s.Path].Data), "\ufeff")
	for range s.Line - 1 {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	if s.Line < 1 || !strings.HasPrefix(rest, s.SQL) {
		t.Fatalf("line %d of %s is not where %q begins", s.Line, s.Path, s.SQL)
	}
}

// checkRunnable holds that nothing in a migration breaks the way it will be run.
func checkRunnable(t *testing.T, m Migration) {
	t.Helper()
	statements, err := m.Up.Split()
	if err != nil || len(statements) == 0 {
		t.Fatalf("%q: %d statements, %v", m.Up.SQL, len(statements), err)
	}
	if slices.ContainsFunc(statements, func(st Statement) bool { return st.ControlsTransaction() != "" }) {
		t.Fatalf("%q controls the transaction", m.Up.SQL)
	}
	if !m.NoTransaction && slices.ContainsFunc(statements, func(st Statement) bool { return st.NonTransactional() != "" }) {
		t.Fatalf("%q would run in a transaction", m.Up.SQL)
	}
}
