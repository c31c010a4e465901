package runner

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/schemawave/schemawave/migrations"
)

const (
	longestLine = 64 << 10 // bytes, beyond which a line is passed on in pieces
	lastLines   = 20       // that a report tells
	lastBytes   = 3 << 10
	longestTold = 1 << 10 // bytes of a line; of a longer one the beginning and the end
	leftOut     = " … "   // between the two
)

// stream passes a tool's output on, line by line as it comes, without the secrets. Several share what is kept of it.
type stream struct {
	to      io.Writer
	secrets secrets
	last    *tail
	pending []byte // begins with what is left of a line
}

// Write never fails: a tool is not to be stopped because nobody reads what it says.
func (s *stream) Write(p []byte) (int, error) {
	s.pending = append(s.pending, p...)
	for {
		end := bytes.IndexByte(s.pending, '\n')
		if end < 0 {
			break
		}
		s.pass(s.secrets.redact(string(s.pending[:end+1])))
		s.pending = s.pending[end+1:]
	}
	if len(s.pending) > longestLine+s.secrets.longest {
		clean := s.secrets.redact(string(s.pending))
		held := min(len(clean), s.secrets.longest) // may begin a secret whose end is yet to come
		s.pass(clean[:len(clean)-held])
		s.pending = []byte(clean[len(clean)-held:])
	}
	return len(p), nil
}

// flush passes on a last line that was not ended, and ends it: what we say ourselves begins a line.
func (s *stream) flush() {
	if len(s.pending) > 0 {
		s.pass(s.secrets.redact(string(s.pending)) + "\n")
		s.pending = nil
	}
}

func (s *stream) pass(text string) {
	s.last.mu.Lock()
	defer s.last.mu.Unlock()
	io.WriteString(s.to, text) //nolint:errcheck // see Write
	s.last.add(text)
}

// tail keeps the last lines that were passed on.
type tail struct {
	mu    sync.Mutex
	lines []line
}

// line is one as a report may tell it, and as it was passed on. Only the SQLSTATE is looked for in the latter: some drivers quote it as
// if it were data, or have it after some.
type line struct{ told, passed string }

func (t *tail) add(text string) {
	told := strings.TrimSpace(migrations.RedactOutput(text))
	if half := (longestTold - len(leftOut)) / 2; len(told) > longestTold {
		told = strings.ToValidUTF8(told[:half]+leftOut+told[len(told)-half:], "")
	}
	if strings.ContainsFunc(told, unicode.IsLetter) { // not what only underlines another
		t.lines = append(t.lines, line{told, text})
	}
	if extra := len(t.lines) - lastLines; extra > 0 {
		t.lines = slices.Delete(t.lines, 0, extra)
	}
}

// text returns the lines as a report may tell them, at most lastBytes of them.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	size, first := 0, len(t.lines)
	for first > 0 && size+len(t.lines[first-1].told) < lastBytes {
		first--
		size += len(t.lines[first].told) + 1
	}
	var b strings.Builder
	for _, l := range t.lines[first:] {
		b.WriteString(l.told + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// unredacted returns the lines as they were passed on, which no report may tell.
func (t *tail) unredacted() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, l := range t.lines {
		b.WriteString(l.passed + "\n")
	}
	return b.String()
}
