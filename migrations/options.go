package migrations

import "strings"

// optionValues are the options that a statement has in parentheses, by their names in lower case.
type optionValues map[string]string

// optionValues moves past "(name [=] [value], …)" if that comes next.
func (r *reader) optionValues() optionValues {
	if !r.take("(") {
		return nil
	}
	out := optionValues{}
	name, names := "", true
	for len(r.tokens) > 0 && !r.take(")") {
		text := r.text(r.tokens[0])
		r.tokens = r.tokens[1:]
		switch {
		case text == ",":
			names = true
		case names:
			name, names = strings.ToLower(text), false
			out[name] = ""
		case text != "=":
			out[name] += strings.ToLower(strings.Trim(text, `'"`))
		}
	}
	return out
}

// on tells whether an option is on, as a boolean of a command's options is written (defGetBoolean in PostgreSQL's
// commands/define.c): without a value it is.
func (o optionValues) on(name string, otherwise bool) bool {
	value, given := o[name]
	if !given {
		return otherwise
	}
	return value != "off" && value != "false" && value != "0"
}

// has reports whether an option is given, with whatever value.
func (o optionValues) has(name string) bool {
	_, given := o[name]
	return given
}
