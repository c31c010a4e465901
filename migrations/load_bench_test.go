package migrations

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkLoad reads, checks and hashes 5,000 files from disk, as every run does before it connects, and beside it what no
// verification of checksums can be without: reading and hashing every file, in turn.
func BenchmarkLoad(b *testing.B) {
	root := b.TempDir()
	for i := range 5000 {
		sql := fmt.Appendf(nil, "-- table %d\nCREATE TABLE t%d (id bigint PRIMARY KEY, name text NOT NULL DEFAULT 'x;y');\nCREATE INDEX ON t%d (name);\n", i, i, i)
		if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("%05d_t.sql", i)), sql, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	load := func(fsys fs.FS) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(fsys, LayoutAuto); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("dir", load(Dir(root)))
	b.Run("os.DirFS", load(os.DirFS(root)))
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
