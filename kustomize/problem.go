package kustomize

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// Problem is one thing wrong with an overlay or a SchemaMigration.
type Problem struct {
	File   string // relative to the repository's root, with slashes
	Line   int    // 1-based; 0 if it is about the whole file
	What   string // what is wrong
	Remedy string // what to do about it
}

// Error reads "file:line: what (remedy)".
func (p *Problem) Error() string {
	at := p.File
	if p.Line > 0 {
		at = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if p.Remedy == "" {
		return at + ": " + p.What
	}
	return at + ": " + p.What + " (" + p.Remedy + ")"
}

// Problems is everything wrong with an overlay, ordered by file and line, so that one look is enough to repair it. It is the
// error of Render whenever the repository's content is to blame.
type Problems []*Problem

// Error has one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the first problem.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// ExitCode is ExitRejected: the input is wrong.
func (ps Problems) ExitCode() migrations.ExitCode { return migrations.ExitRejected }

// Bounds of what is told at once, of a repository that may hold anything: nobody reads more, and logs need not hold it.
const (
	maxProblems = 100
	maxText     = 1000 // bytes of what is wrong, and of the remedy
)

// add adds a problem, unless there are too many: then the last says so.
func (ps *Problems) add(file string, line int, what, remedy string) {
	switch {
	case ps.full():
	case len(*ps) == maxProblems:
		*ps = append(*ps, &Problem{file, line, "more is wrong than is told here", "correct this first"})
	default:
		*ps = append(*ps, &Problem{file, line, cut(what), cut(remedy)})
	}
}

// full reports whether nothing more is told.
func (ps *Problems) full() bool { return len(*ps) > maxProblems }

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// err returns nil if nothing is wrong.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return ps
}
