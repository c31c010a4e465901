// Package progress writes what the lab is doing, one line per step with the seconds since the command began, so that a
// person who waits sees what for.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Log writes progress lines; it may be used from several goroutines. Make one with New.
type Log struct {
	mu    sync.Mutex
	w     io.Writer
	now   func() time.Time
	start time.Time
}

// New returns a Log whose clock starts now. A nil writer makes it silent.
func New(w io.Writer) *Log { return newAt(w, time.Now) }

func newAt(w io.Writer, now func() time.Time) *Log {
	if w == nil {
		w = io.Discard
	}
	return &Log{w: w, now: now, start: now()}
}

// Printf writes one line. A terminal that has gone away is not worth failing for, so write errors are dropped.
func (l *Log) Printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "[%6.1fs] %s\n", l.now().Sub(l.start).Seconds(), fmt.Sprintf(format, args...))
}
