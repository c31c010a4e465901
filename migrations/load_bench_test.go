package migrations

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkLoad reads, checks and hashes 5,000 files from disk, as every run does before it connects.
func BenchmarkLoad(b *testing.B) {
	root := b.TempDir()
	for i := range 5000 {
		sql := fmt.Appendf(nil, "-- table %d\nCREATE TABLE t%d (id bigint PRIMARY KEY, name text NOT NULL DEFAULT 'x;y');\nCREATE INDEX ON t%d (name);\n", i, i, i)
		if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("%05d_t.sql", i)), sql, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		if _, err := Load(os.DirFS(root), LayoutAuto); err != nil {
			b.Fatal(err)
		}
	}
}
