package migrations

import (
	"regexp"
	"strings"
	"sync"
)

var (
	// escapes are what a program sends to a terminal: colours, the cursor, titles (ECMA-48).
	escapes = pattern("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-Z\\\\-_])")

	// quotesData finds where a line of output goes on with data to its end: what PostgreSQL says of rows, as itself and as drivers
	// show it, what its data exceptions (class 22) quote, and statements whose values a framework has put in.
	quotesData = pattern(`(?i)\b(?:detail["']?\s*[:=]|context["']?\s*[:=]|failing row contains|key \(.*?\)=|` +
		`invalid input (?:syntax|value) for [^:]*:|field value out of range:|malformed \w+ literal:|value\s+\\?"|` +
		`parameters["']?\s*[:=]|bindings?["']?\s*[:=]|values\s*\(|sql["']?\s*:\s)`)

	// aString is one in single quotes, unless it begins within a word, as in "doesn't".
	aString = pattern(`(^|[^\pL\pN])'(?:[^']|'')*(?:'|$)`)
)

// RedactOutput returns a line that a program has printed about SQL with what may be data left out: strings in single quotes,
// details about rows, values that were put into statements. What a person needs to know the error stays: its text, its
// SQLSTATE, names. Terminal sequences and other control characters vanish.
func RedactOutput(line string) string {
	line = escapes().ReplaceAllString(strings.ToValidUTF8(line, "�"), "")
	line = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, line)
	if at := quotesData().FindStringIndex(line); at != nil {
		line = strings.TrimRight(line[:at[1]], " ") + " …"
	}
	return aString().ReplaceAllString(line, "$1'…'")
}

// pattern is a regular expression that is compiled when it is first needed: most runs need none, and all of them together would take
// a tenth of the time in which the program starts.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
