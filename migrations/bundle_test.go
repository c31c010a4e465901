package migrations

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// compressed is a file as gzip leaves it.
func compressed(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What comes out of bundles is what the directory holds, to the byte, in whatever order it was put in.
func TestBundlesHoldTheDirectory(t *testing.T) {
	dir := fstest.MapFS{
		"1_a.sql":                {Data: []byte("CREATE TABLE a ();\r\n-- 7 bytes of nothing\n-- schemawave bundle 1\n")},
		"2_5 bytes of b, c.sql":  {Data: []byte("-- schemawave: min-compatible 1\nSELECT 'straße'")}, // without a line break at the end
		"3_c.sql":                {Data: []byte("\uFEFFCREATE INDEX CONCURRENTLY ON a ((1));\n\n\n")},
		"10_d.sql":               {Data: []byte("SELECT 1;" + strings.Repeat("\n", 1000))},
		"00000000000000000_.sql": {Data: []byte("SELECT 0")},
	}
	want, err := Load(dir, LayoutAuto)
	if err != nil {
		t.Fatal(err)
	}
	var first, second []byte
	for _, name := range []string{"3_c.sql", "1_a.sql"} {
		first = AppendToBundle(first, name, dir[name].Data)
	}
	for _, name := range []string{"10_d.sql", "2_5 bytes of b, c.sql", "00000000000000000_.sql"} {
		second = AppendToBundle(second, name, dir[name].Data)
	}
	for name, bundles := range map[string]fstest.MapFS{
		"text":       {"1.bundle": {Data: first}, "2.bundle": {Data: second}},
		"compressed": {"1.bundle.gz": {Data: compressed(t, first)}, "2.bundle.gz": {Data: compressed(t, second)}},
		"among others": {"1.bundle": {Data: first}, "2.bundle.gz": {Data: compressed(t, second)}, "README": {}, "4_stray.sql": {Data: []byte("SELECT")},
			"..data": {Data: first}, ".3.bundle": {Data: second}},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := ReadBundles(bundles, LayoutAuto)
			if err != nil {
				t.Fatal(err)
			}
			got, err := u.Check()
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestBundlesThatWereEdited(t *testing.T) {
	whole := AppendToBundle(AppendToBundle(nil, "1_a.sql", []byte("SELECT 1;\n")), "2_b.sql", []byte("SELECT 2;\n"))
	edit := func(old, new string) []byte { return bytes.Replace(whole, []byte(old), []byte(new), 1) }
	for name, c := range map[string]struct {
		file    string
		content []byte
		want    string
	}{
		"longer":           {"1.bundle", edit("SELECT 1", "SELECT 10"), "1.bundle:4: is no bundle"},
		"shorter":          {"1.bundle", edit("SELECT 2", "SELECT"), "1.bundle:5: is no bundle"},
		"cut":              {"1.bundle", whole[:len(whole)-1], "1.bundle:5: is no bundle"},
		"cut in a line":    {"1.bundle", whole[:len(bundleHead)+5], "1.bundle:2: is no bundle"},
		"another format":   {"1.bundle", edit("bundle 1", "bundle 2"), "1.bundle:1: is no bundle"},
		"empty":            {"1.bundle", nil, "1.bundle:1: is no bundle"},
		"negative":         {"1.bundle", edit("10 bytes", "-1 bytes"), "1.bundle:2: is no bundle"},
		"beyond all reach": {"1.bundle", edit("10 bytes", "18446744073709551615 bytes"), "1.bundle:2: is no bundle"},
		"not compressed":   {"1.bundle.gz", whole, "1.bundle.gz: cannot be read: gzip"},
		"cut compressed":   {"1.bundle.gz", compressed(t, whole)[:40], "1.bundle.gz: cannot be read: gzip"},
		"not text":         {"1.bundle", edit("SELECT 2", "SELECT \xff"), "2_b.sql:1: byte 0xFF"},
		"the same twice":   {"1.bundle", AppendToBundle(whole, "1_a.sql", []byte("SELECT 3;")), "1_a.sql: is in the bundles twice"},
		"wrong SQL":        {"1.bundle", edit("SELECT 2", "SELECT '"), "2_b.sql:1: string is never closed"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := ReadBundles(fstest.MapFS{c.file: {Data: c.content}}, LayoutAuto)
			if err == nil {
				_, err = u.Check()
			}
			if !errors.As(err, new(*LoadError)) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Where reading fails, what the check of statements finds is told along: one look is enough to repair the directory.
func TestReadTellsEverything(t *testing.T) {
	_, err := Read(fstest.MapFS{"1_a.sql": {Data: []byte("BEGIN;")}, "1_b.sql": {Data: []byte("SELECT 1;")}}, LayoutAuto)
	var wrong *LoadError
	if !errors.As(err, &wrong) || len(wrong.Problems) != 2 || wrong.Problems[0].Kind != TransactionWords || wrong.Problems[1].Kind != Duplicate {
		t.Errorf("%v", err)
	}
}
