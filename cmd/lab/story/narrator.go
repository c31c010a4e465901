package story

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Narrator tells the story on a terminal. The zero value, with no writer, tells nothing.
type Narrator struct {
	w     io.Writer
	began time.Time // of the whole story
	since time.Time // of the chapter
}

// NewNarrator returns a Narrator that writes to w and counts time from now.
func NewNarrator(w io.Writer) *Narrator {
	now := time.Now()
	return &Narrator{w: w, began: now, since: now}
}

// Chapter begins a new part; the times of what follows count from here.
func (n *Narrator) Chapter(title string) {
	n.since = time.Now()
	n.printf("\n━━ %s\n", title)
}

// Tell says one thing that is so now, with the time since the chapter began.
func (n *Narrator) Tell(format string, args ...any) { n.TellAt(time.Now(), format, args...) }

// TellAt says one thing that came to be at t.
func (n *Narrator) TellAt(t time.Time, format string, args ...any) {
	n.printf("  %6.1fs  %s\n", max(0, t.Sub(n.since).Seconds()), fmt.Sprintf(format, args...))
}

// Show prints text as it is, indented: a command's output, a message, a file.
func (n *Narrator) Show(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		n.printf("             │ %s\n", strings.TrimRight(line, "\n"))
	}
}

// Elapsed is the time since the story began.
func (n *Narrator) Elapsed() time.Duration { return time.Since(n.began) }

func (n *Narrator) printf(format string, args ...any) {
	if n.w != nil {
		fmt.Fprintf(n.w, format, args...)
	}
}
