package postgres_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/schemawave/schemawave/migrations/postgres"
)

// withIndexes is a directory in which every fifth migration builds an index concurrently.
func withIndexes(n int) fstest.MapFS {
	dir := numbered(n)
	for i := 5; i <= n; i += 5 {
		delete(dir, fmt.Sprintf("%04d_t%d.sql", i, i))
		dir[fmt.Sprintf("%04d_i%d.sql", i, i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "CREATE INDEX CONCURRENTLY i%d ON t%d (id);\n", i, i-1)}
	}
	return dir
}

// onDisk writes a directory for other processes.
func onDisk(t testing.TB, dir fstest.MapFS) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, fs.FS(dir)); err != nil {
		t.Fatal(err)
	}
	return root
}

// whole checks that the database holds exactly what withIndexes(n) makes, each migration once and every index valid.
func whole(t *testing.T, url string, cfg postgres.Config, n int) {
	t.Helper()
	if got := recorded(t, cfg); len(got) != n {
		t.Errorf("%d recorded, want %d", len(got), n)
	}
	indexes := n / 5
	if got := query(t, url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); got[0] != fmt.Sprint(n-indexes) {
		t.Errorf("%s tables, want %d", got[0], n-indexes)
	}
	want := fmt.Sprintf("%d|t", indexes)
	if got := query(t, url, `SELECT count(*), bool_and(indisvalid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE c.relname ~ '^i\d+'`); indexes > 0 && got[0] != want {
		t.Errorf("indexes: %s, want %s", got[0], want)
	}
	if got := query(t, url, "SELECT count(*) FROM schemawave.statement"); got[0] != "0" {
		t.Errorf("%s journal entries are left", got[0])
	}
}

func TestTenRunnersAtOnce(t *testing.T) {
	const n, runners = 30, 10
	url := freshURL(t)
	set := load(t, withIndexes(n))
	var wg sync.WaitGroup
	var mu sync.Mutex
	applied := 0
	for i := range runners {
		wg.Go(func() {
			cfg := config(t, url)
			cfg.Pod = fmt.Sprintf("pod-%d", i)
			report, err := postgres.Migrate(t.Context(), cfg, set)
			if err != nil {
				t.Errorf("runner %d: %v", i, err)
			}
			mu.Lock()
			applied += report.Count
			mu.Unlock()
		})
	}
	wg.Wait()
	if applied != n {
		t.Errorf("%d reported as applied, want %d", applied, n)
	}
	whole(t, url, config(t, url), n)
}

func TestTenProcessesAtOnce(t *testing.T) {
	const n, runners = 30, 10
	url := freshURL(t)
	root := onDisk(t, withIndexes(n))
	var wg sync.WaitGroup
	for i := range runners {
		wg.Go(func() {
			if out, err := runnerProcess(t, url, root).CombinedOutput(); err != nil {
				t.Errorf("process %d: %v: %s", i, err, out)
			}
		})
	}
	wg.Wait()
	whole(t, url, config(t, url), n)
}

// runnerProcess is this test binary as a runner.
func runnerProcess(t testing.TB, url, root string) *exec.Cmd {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), runnerURL+"="+url, runnerDir+"="+root)
	return cmd
}

// Whenever a runner is killed, the ledger and the schema agree, and a plain second run completes the work.
func TestKilledAnywhere(t *testing.T) {
	const n = 40
	root := onDisk(t, withIndexes(n))
	set := load(t, withIndexes(n))
	killed := 0
	for range 15 {
		url := freshURL(t)
		cfg := config(t, url)
		cmd := runnerProcess(t, url, root)
		var out strings.Builder
		cmd.Stderr = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := time.AfterFunc(10*time.Millisecond+rand.N(400*time.Millisecond), func() { cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			killed++
		}
		stop.Stop()
		before := len(recorded(t, cfg))
		report := migrate(t, cfg, set)
		whole(t, url, cfg, n)
		if len(recorded(t, cfg)) != n || report.Count > n-before {
			t.Errorf("%d recorded when killed, %d applied afterwards (%s)", before, report.Count, out.String())
		}
	}
	if killed == 0 {
		t.Error("no process was killed in time")
	}
	t.Logf("%d killed", killed)
}

// numberedWith is a directory of one migration.
func numberedWith(sql string) fstest.MapFS {
	return fstest.MapFS{"0001_x.sql": &fstest.MapFile{Data: []byte(sql)}}
}
