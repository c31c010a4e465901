package migrations

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Kind says what sort of Problem one is, for programs that branch on it.
type Kind string

// The kinds of problems that Load finds.
const (
	NoDirectory      Kind = "no-directory"      // the directory cannot be read
	NoFiles          Kind = "no-files"          // it holds no migration
	MixedLayouts     Kind = "mixed-layouts"     // its files follow different tools' conventions
	BadName          Kind = "bad-name"          // a file's name yields no version
	Duplicate        Kind = "duplicate-version" // two files carry the same version
	Unreadable       Kind = "unreadable"        // a file cannot be read
	NotText          Kind = "not-text"          // NUL bytes, or not UTF-8
	Empty            Kind = "empty"             // no statement
	BadDirective     Kind = "bad-directive"     // an annotation that is unknown, misplaced or contradictory
	Template         Kind = "template"          // placeholders that another tool would have replaced
	Unsupported      Kind = "unsupported"       // a feature of another tool's layout that is not supported
	Unclosed         Kind = "unclosed"          // a quote or comment without its end
	PsqlCommand      Kind = "psql-command"      // a backslash command, which only psql understands
	CopyFromStdin    Kind = "copy-from-stdin"   // COPY whose data would follow in the file
	TransactionWords Kind = "transaction"       // BEGIN, COMMIT and their like
	Mixed            Kind = "mixed-statements"  // statements that need and statements that forbid a transaction
	SessionState     Kind = "session-state"     // a statement that would undo the runner's own session
)

// Problem is one thing that is wrong with a directory of migrations.
type Problem struct {
	Kind   Kind
	File   string // empty if it is about the directory
	Line   int    // 1-based; 0 if it is about the whole file
	What   string // what is wrong
	Remedy string // what to do about it
}

// Error reads "file:line: what (remedy)".
func (p *Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	b.WriteString(p.What)
	if p.Remedy != "" {
		b.WriteString(" (" + p.Remedy + ")")
	}
	return b.String()
}

// ExitCode is ExitConfig when the directory is not there or holds nothing to run, ExitRejected when its contents are wrong.
func (p *Problem) ExitCode() ExitCode {
	if p.Kind == NoDirectory || p.Kind == NoFiles {
		return ExitConfig
	}
	return ExitRejected
}

// LoadError is everything that is wrong with a directory, ordered by file and line, so that one look is enough to repair it.
type LoadError struct {
	Problems []*Problem
}

// Error has one line for each problem.
func (e *LoadError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the first problem.
func (e *LoadError) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		errs[i] = p
	}
	return errs
}

// ExitCode is that of the first problem.
func (e *LoadError) ExitCode() ExitCode { return e.Problems[0].ExitCode() }

// problems collects what is wrong.
type problems []*Problem

func (ps *problems) add(p *Problem) { *ps = append(*ps, p) }

// err returns nil if there is nothing wrong.
func (ps problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return &LoadError{Problems: ps}
}
