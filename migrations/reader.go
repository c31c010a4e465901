package migrations

import (
	"iter"
	"slices"
	"strings"
)

// takeAny moves past the next token if it is one of these key words.
func (r *reader) takeAny(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return r.take(w) })
}

// texts returns what remains, token by token.
func (r *reader) texts() []string {
	out := make([]string, len(r.tokens))
	for i, t := range r.tokens {
		out[i] = r.text(t)
	}
	return out
}

// skipTo moves past the next occurrence of a key word, and reports false at the end.
func (r *reader) skipTo(word string) bool {
	for len(r.tokens) > 0 {
		if r.take(word) {
			return true
		}
		r.tokens = r.tokens[1:]
	}
	return false
}

// table moves past a table's name, with ONLY or an asterisk around it.
func (r *reader) table() string {
	r.take("ONLY")
	name := r.name()
	r.take("*")
	return name
}

// tables moves past a list of them.
func (r *reader) tables() []string {
	all := []string{r.table()}
	for {
		if r.take("(") { // columns, as ANALYZE takes them
			r.skipTo(")")
		}
		if !r.take(",") {
			return all
		}
		all = append(all, r.table())
	}
}

// after returns the table that follows the next occurrence of a key word that stands in no parentheses.
func (r *reader) after(word string) string {
	depth := 0
	for len(r.tokens) > 0 {
		if depth == 0 && r.take(word) {
			return r.table()
		}
		switch r.text(r.tokens[0]) {
		case "(":
			depth++
		case ")":
			depth--
		}
		r.tokens = r.tokens[1:]
	}
	return ""
}

// options moves past a command's options, in parentheses or bare, and reports whether FULL is one of them.
func (r *reader) options(bare ...string) (full bool) {
	if r.take("(") {
		end := slices.IndexFunc(r.tokens, func(t token) bool { return r.text(t) == ")" })
		full = slices.ContainsFunc(r.texts()[:max(0, end)], func(w string) bool { return strings.EqualFold(w, "FULL") })
		r.tokens = r.tokens[end+1:]
	}
	for {
		switch {
		case r.take("FULL"):
			full = true
		case r.takeAny(bare...):
		default:
			return full
		}
	}
}

// actions divides what remains at the commas that stand in no parentheses.
func (r *reader) actions() iter.Seq[*reader] {
	return func(yield func(*reader) bool) {
		depth, start := 0, 0
		for i := 0; i <= len(r.tokens); i++ {
			end := i == len(r.tokens)
			if !end {
				switch r.text(r.tokens[i]) {
				case "(":
					depth++
				case ")":
					depth--
				}
				end = depth == 0 && r.text(r.tokens[i]) == ","
			}
			if !end {
				continue
			}
			if i > start && !yield(&reader{sql: r.sql, tokens: r.tokens[start:i]}) {
				return
			}
			start = i + 1
		}
	}
}
