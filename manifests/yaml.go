package manifests

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// yamlWriter writes YAML 1.2 that YAML 1.1 reads the same way.
type yamlWriter struct{ bytes.Buffer }

func (w *yamlWriter) indent(n int) {
	for range n {
		w.WriteByte(' ')
	}
}

// members writes a mapping, each line after the first indented; lead stands before the first, which is "- " in a list.
func (w *yamlWriter) members(o object, indent int, lead string) {
	for i, m := range o {
		if i > 0 || lead == "" {
			w.indent(indent)
		}
		w.WriteString(plainOrQuoted(m.key))
		w.WriteByte(':')
		w.value(m.value, indent)
	}
}

// value writes what follows a "key:" that is indented by indent, up to and including the line's end.
func (w *yamlWriter) value(v any, indent int) {
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			w.WriteString(" {}\n")
			return
		}
		w.WriteByte('\n')
		w.members(v, indent+2, "")
	case []any:
		if len(v) == 0 {
			w.WriteString(" []\n")
			return
		}
		w.WriteByte('\n')
		w.items(v, indent)
	default:
		w.WriteByte(' ')
		w.scalar(v, indent)
	}
}

// items writes a list, its dashes under its key.
func (w *yamlWriter) items(a []any, indent int) {
	for _, v := range a {
		w.indent(indent)
		w.WriteByte('-')
		switch v := v.(type) {
		case object:
			if len(v) > 0 {
				w.WriteByte(' ')
				w.members(v, indent+2, "- ")
				continue
			}
			w.WriteString(" {}\n")
		case []any:
			w.value(v, indent+2)
		default:
			w.WriteByte(' ')
			w.scalar(v, indent)
		}
	}
}

func (w *yamlWriter) scalar(v any, indent int) {
	s, isString := v.(string)
	switch {
	case !isString:
		if v == nil {
			v = "null"
		}
		fmt.Fprintln(w, v)
	case literal(s):
		w.literal(s, indent+2)
	default:
		w.WriteString(plainOrQuoted(s))
		w.WriteByte('\n')
	}
}

// literal writes a block whose lines stand as they are.
func (w *yamlWriter) literal(s string, indent int) {
	switch {
	case !strings.HasSuffix(s, "\n"):
		w.WriteString("|-\n")
	case strings.HasSuffix(s, "\n\n"):
		w.WriteString("|+\n")
	default:
		w.WriteString("|\n")
	}
	for line := range strings.Lines(s) {
		if line != "\n" {
			w.indent(indent)
		}
		w.WriteString(strings.TrimSuffix(line, "\n"))
		w.WriteByte('\n')
	}
}

// literal reports whether s survives as a literal block: several lines, the first neither empty nor indented (it tells
// the parser the indentation), the last not blank, and no character that YAML would change or refuse (YAML 1.2, 5.1 and 8.1).
func literal(s string) bool {
	end := strings.IndexByte(s, '\n')
	if end < 1 || s[0] == ' ' || s[0] == '\t' {
		return false
	}
	body := strings.TrimRight(s, "\n")
	if last := body[strings.LastIndexByte(body, '\n')+1:]; strings.Trim(last, " \t") == "" {
		return false
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && !printable(r) {
			return false
		}
	}
	return true
}

// isPlain reports whether no YAML parser takes s for anything but a string: words, paths and flags, and what begins with a
// digit but has a letter that no number and no timestamp has.
func isPlain(s string) bool {
	t := strings.TrimPrefix(s, "--")
	if t == "" {
		return false
	}
	special := " _./@%+,=:-"
	switch first := t[0]; {
	case isLetter(first) || first == '/':
	case isDigit(first) && t == s && strings.ContainsAny(s, "ghijklmnpqrsuvwyGHIJKLMNPQRSUVWY"):
		special = "_.-"
	default:
		return false
	}
	for i := range len(t) {
		if !isLetter(t[i]) && !isDigit(t[i]) && !strings.Contains(special, t[i:i+1]) {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	return !strings.Contains(s, ": ") && !strings.HasSuffix(s, ":") && !strings.HasSuffix(s, " ")
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// plainOrQuoted returns s as it is where that is unmistakable, else in double quotes.
func plainOrQuoted(s string) string {
	if isPlain(s) {
		return s
	}
	b := []byte{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case printable(r):
			b = utf8.AppendRune(b, r)
		default: // all of it in the basic plane
			b = fmt.Appendf(b, `\u%04X`, r)
		}
	}
	return string(append(b, '"'))
}

// printable reports whether YAML takes r as it is (YAML 1.2, 5.1), but for line ends other than \n and byte order marks.
func printable(r rune) bool {
	return r >= 0x20 && r <= 0x7E || r >= 0xA0 && r <= 0xFFFD && r != 0x2028 && r != 0x2029 && r != 0xFEFF || r >= 0x10000
}
