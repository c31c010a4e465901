package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

const (
	racedFiles   = 30
	racedIndexes = 5 // one file in so many builds one concurrently
)

// raced checks that the runners have done the work once between them, and never waited for each other in a circle.
func raced(t *testing.T, url string) {
	t.Helper()
	eventually(t, url, othersSQL, "0")
	counted(t, url, racedFiles, racedIndexes)
	if got := query(t, url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); got[0] != "0" {
		t.Errorf("%s deadlocks", got[0])
	}
}

// raceGoroutines runs so many at once, through the URLs in turn, and returns how many migrations they say they have applied.
func raceGoroutines(t *testing.T, runners int, urls ...string) (applied int) {
	t.Helper()
	set := load(t, countedFiles(racedFiles, racedIndexes))
	reports := make([]migrations.Report, runners)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range runners {
		cfg := config(t, urls[i%len(urls)])
		cfg.Pod = fmt.Sprintf("pod-%d", i)
		wg.Go(func() {
			<-start
			var err error
			if reports[i], err = postgres.Migrate(t.Context(), cfg, set); err != nil {
				t.Errorf("runner %d: %v", i, err)
			}
		})
	}
	close(start)
	wg.Wait()
	for _, r := range reports {
		applied += r.Count
	}
	return applied
}

// raceProcesses does the same with processes, and expects all of them to succeed.
func raceProcesses(t *testing.T, url string, runners int) {
	t.Helper()
	root := onDisk(t, countedFiles(racedFiles, racedIndexes))
	var wg sync.WaitGroup
	for i := range runners {
		cmd := runnerProcess(t, url, root)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v: %s", i, err, out)
			}
		})
	}
	wg.Wait()
}

func TestFiftyRunnersAtOnce(t *testing.T) {
	for range 3 {
		url := freshURL(t)
		if applied := raceGoroutines(t, 50, url); applied != racedFiles+1 {
			t.Errorf("%d reported as applied, want %d", applied, racedFiles+1)
		}
		raced(t, url)
	}
}

func TestTwelveProcessesAtOnce(t *testing.T) {
	url := freshURL(t)
	raceProcesses(t, url, 12)
	raced(t, url)
}
