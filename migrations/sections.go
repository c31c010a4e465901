package migrations

import (
	"iter"
	"strings"
)

// annotation is a line comment by which a tool divides a file.
type annotation struct {
	line       int // 1-based
	start, end int // of the whole line, its line break included
	text       string
}

// annotations yields the lines that begin with "--", blanks and prefix, with what follows the prefix, white space
// trimmed. Like the tools that define them it takes no notice of quotes around.
func annotations(text, prefix string) iter.Seq[annotation] {
	return func(yield func(annotation) bool) {
		if !strings.Contains(text, prefix) {
			return
		}
		for l := range lines(text) {
			rest, ok := strings.CutPrefix(strings.TrimSpace(l.text), "--")
			if !ok {
				continue
			}
			if l.text, ok = strings.CutPrefix(strings.TrimSpace(rest), prefix); !ok {
				continue
			}
			l.text = strings.TrimSpace(l.text)
			if !yield(l) {
				return
			}
		}
	}
}

// lines yields the lines of a text.
func lines(text string) iter.Seq[annotation] {
	return func(yield func(annotation) bool) {
		start := 0
		for n := 1; start < len(text); n++ {
			end := len(text)
			if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
				end = start + i + 1
			}
			if !yield(annotation{line: n, start: start, end: end, text: text[start:end]}) {
				return
			}
			start = end
		}
	}
}

// divider collects the sections of a file in which annotations say where "up" and "down" begin.
type divider struct {
	src      source
	found    *problems
	up, down *annotation
}

// begin notes where a section begins; a second one of the same direction is a problem.
func (d *divider) begin(section **annotation, a annotation) {
	if *section != nil {
		d.problem(a, "a second section of the same direction", "keep one of each in a file")
		return
	}
	*section = &a
}

func (d *divider) problem(a annotation, what, remedy string) {
	d.found.add(&Problem{Kind: BadDirective, File: d.src.path, Line: a.line, What: what, Remedy: remedy})
}

// fill puts the sections' text into p. mark is the annotation that was looked for.
func (d *divider) fill(p *piece, mark string) (ok bool) {
	if d.up == nil {
		d.found.add(&Problem{Kind: BadDirective, File: d.src.path, What: "has no line " + mark,
			Remedy: "put it above the SQL to apply"})
		return false
	}
	if d.down != nil && d.down.start < d.up.start {
		d.problem(*d.down, "the section to revert stands before the one to apply", "swap them")
		return false
	}
	head := Script{Path: d.src.path, Line: 1, SQL: d.src.text[:d.up.start]}
	if st, _ := head.Split(); len(st) > 0 {
		d.found.add(&Problem{Kind: BadDirective, File: d.src.path, Line: st[0].Line, What: "SQL before the line " + mark,
			Remedy: "move it below"})
		return false
	}
	end := len(d.src.text)
	if d.down != nil {
		end = d.down.start
		p.down = d.script(*d.down, len(d.src.text))
	}
	p.up = d.script(*d.up, end)
	return true
}

func (d *divider) script(from annotation, end int) *Script {
	return &Script{Path: d.src.path, Line: from.line + 1, SQL: d.src.text[from.end:end]}
}

// template reports the first place of a placeholder that another tool would have replaced.
func template(src source, mark, tool string, found *problems) (ok bool) {
	i := strings.Index(src.text, mark)
	if i < 0 {
		return true
	}
	found.add(&Problem{Kind: Template, File: src.path, Line: lineOf(src.text, i),
		What:   mark + " is a placeholder that " + tool + " would replace; here it would reach the database as it is",
		Remedy: "write the value itself, or read it in SQL with current_setting()"})
	return false
}
