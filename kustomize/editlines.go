package kustomize

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// oddBreak matches what ends a line in YAML 1.1 and nowhere else, so that the parser's line numbers are not ours.
var oddBreak = regexp.MustCompile("\r[^\n]|\r$|\u0085|\u2028|\u2029")

// editText works on the text. It returns nil where it cannot, and need not be right: the caller checks.
func (l listing) editText(content []byte, list *yaml.Node, add bool) []byte {
	if oddBreak.Match(content) {
		return nil
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	eol := "\n"
	if bytes.HasSuffix(lines[0], []byte("\r\n")) {
		eol = "\r\n"
	}
	switch {
	case add && list == nil:
		return l.appendList(content, eol)
	case add && len(list.Content) == 0:
		return l.fillEmpty(lines, list, eol)
	case add:
		return l.addAfterLast(lines, list, eol)
	}
	return l.dropEntries(lines, list)
}

func (l listing) appendList(content []byte, eol string) []byte {
	out := slices.Clone(content)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, eol...)
	}
	return append(out, l.key+":"+eol+"- "+l.entry+eol...)
}

// brackets match a list in them that is empty.
var brackets = regexp.MustCompile(`^[ \t]*\[[ \t]*\]`)

// fillEmpty turns "resources: []", for instance, or a bare "resources:" into a list with one element.
func (l listing) fillEmpty(lines [][]byte, list *yaml.Node, eol string) []byte {
	at := list.Line - 1
	rest, is := strings.CutPrefix(strings.TrimRight(string(lines[at]), "\r\n"), l.key+":")
	if !is {
		return nil
	}
	return splice(lines, at, at+1, l.key+":"+brackets.ReplaceAllString(rest, "")+eol+"- "+l.entry+eol)
}

// addAfterLast adds an element behind the last one, in the form of the list.
func (l listing) addAfterLast(lines [][]byte, list *yaml.Node, eol string) []byte {
	last := list.Content[len(list.Content)-1]
	line := string(lines[last.Line-1])
	if list.Style&yaml.FlowStyle != 0 {
		end := offset(line, last.Column) + len(last.Value)
		if last.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			end += len(`""`)
		}
		if end > len(line) {
			return nil
		}
		return splice(lines, last.Line-1, last.Line, line[:end]+", "+l.entry+line[end:])
	}
	dash := strings.IndexByte(line, '-')
	if dash < 0 || strings.TrimLeft(line[:dash], " ") != "" {
		return nil
	}
	if !strings.HasSuffix(line, "\n") {
		line += eol
	}
	return splice(lines, last.Line-1, last.Line, line+line[:offset(line, last.Column)]+l.entry+eol)
}

// offset returns where a column, counted in characters from 1, begins in a line; its end if the line is shorter.
func offset(line string, column int) int {
	for i := range line {
		if column--; column == 0 {
			return i
		}
	}
	return len(line)
}

// beside matches where what is said of a list beside its key ends: before a comment, or the end of the line.
var beside = regexp.MustCompile(`[ \t]+#|[ \t]*\r?\n?$`)

// dropEntries removes the lines with our entry, and the key if nothing remains under it or beside it.
func (l listing) dropEntries(lines [][]byte, list *yaml.Node) []byte {
	if list.Style&yaml.FlowStyle != 0 {
		return l.dropFromFlow(lines, list)
	}
	lines = slices.Clone(lines)
	drop, remain := map[int]bool{}, 0
	for _, n := range list.Content {
		if l.is(n.Value) {
			drop[n.Line-1] = true
		} else {
			remain++
		}
	}
	if remain == 0 {
		for at := list.Line - 1; at >= 0; at-- {
			rest, is := bytes.CutPrefix(lines[at], []byte(l.key+":"))
			if !is {
				continue
			}
			if drop[at] = len(bytes.TrimSpace(rest)) == 0; !drop[at] {
				end := beside.FindIndex(rest)[0]
				lines[at] = slices.Concat([]byte(l.key+":"), rest[:end], []byte(" []"), rest[end:])
			}
			break
		}
	}
	out := []byte{} // even if nothing remains
	for i, l := range lines {
		if !drop[i] {
			out = append(out, l...)
		}
	}
	return out
}

// dropFromFlow removes ", schemawave" from a list in brackets.
func (l listing) dropFromFlow(lines [][]byte, list *yaml.Node) []byte {
	last := list.Content[len(list.Content)-1]
	if !l.is(last.Value) || len(list.Content) == 1 {
		return nil
	}
	line := string(lines[last.Line-1])
	at := offset(line, last.Column)
	comma := strings.LastIndexByte(line[:at], ',')
	if comma < 0 || !strings.HasPrefix(line[at:], last.Value) {
		return nil
	}
	return splice(lines, last.Line-1, last.Line, line[:comma]+line[at+len(last.Value):])
}

func splice(lines [][]byte, from, to int, with string) []byte {
	out := bytes.Join(lines[:from], nil)
	out = append(out, with...)
	return append(out, bytes.Join(lines[to:], nil)...)
}
