package migrations

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkLoad loads 5,000 files, reads them as every run does, and beside it does what no verification of checksums can be
// without where each is a file of its own: reading and hashing them in turn.
func BenchmarkLoad(b *testing.B) {
	root, bundled, squeezed := b.TempDir(), b.TempDir(), b.TempDir()
	var bundle []byte
	for i := range 5000 {
		sql := fmt.Appendf(nil, "-- table %d\nCREATE TABLE t%d (id bigint PRIMARY KEY, name text NOT NULL DEFAULT 'x;y');\nCREATE INDEX ON t%d (name);\n", i, i, i)
		name := fmt.Sprintf("%05d_t.sql", i)
		if err := os.WriteFile(filepath.Join(root, name), sql, 0o600); err != nil {
			b.Fatal(err)
		}
		bundle = AppendToBundle(bundle, name, sql)
	}
	for path, content := range map[string][]byte{filepath.Join(bundled, "1.bundle"): bundle, filepath.Join(squeezed, "1.bundle.gz"): compressed(b, bundle)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	read := func(read func(fs.FS, Layout) (Unchecked, error), fsys fs.FS) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(fsys, LayoutAuto); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Load(Dir(root), LayoutAuto); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", read(Read, Dir(root)))
	b.Run("read-os.DirFS", read(Read, os.DirFS(root)))
	b.Run("read-bundle", read(ReadBundles, Dir(bundled)))
	b.Run("read-bundle.gz", read(ReadBundles, Dir(squeezed)))
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			entries, err := os.ReadDir(root)
			if err != nil {
				b.Fatal(err)
			}
			for _, e := range entries {
				text, err := os.ReadFile(filepath.Join(root, e.Name()))
				if err != nil {
					b.Fatal(err)
				}
				sha256.Sum256(text)
			}
		}
	})
}
