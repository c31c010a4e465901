package progress

import (
	"strings"
	"testing"
	"time"
)

func TestLinesCarryTheElapsedTime(t *testing.T) {
	var out strings.Builder
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	log := newAt(&out, func() time.Time { return clock })

	log.Printf("building %s", "kube")
	clock = clock.Add(61500 * time.Millisecond)
	log.Printf("built")

	want := "[   0.0s] building kube\n[  61.5s] built\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestNilWriterIsSilent(t *testing.T) {
	New(nil).Printf("nobody listens")
}
