package runner

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// redacted stands in a tool's output where a secret was.
const redacted = "[redacted]"

// shortestSecret is how many bytes a variable's value must have to be taken for a secret because of the variable's name: less is
// a switch, and its digit or word is everywhere in the output.
const shortestSecret = 6

// shortestToken is how many bytes the user of a URL must have, and a digit among them, to be taken for a token if there is no password.
const shortestToken = 20

// secretName is the name of a variable that holds a secret, as also PGPASSWORD is. That of a file with one is none.
var secretName = pattern(`(?i)(?:passwd|password|passphrase|secret|token|apikey|(?:^|_)(?:pass|pwd|key|creds?|credentials?|auth|dsn))(?:_|$|[0-9])`)

// saysPassword is where a connection string has its password: libpq's and Go's words, or the parameters of a URL as JDBC has them.
var saysPassword = pattern(`(?i)\b(?:password|passwd|pwd)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s'&;]+))`)

// jsonMember is a name in a JSON object with the string that it has.
var jsonMember = pattern(`"(\w+)"\s*:\s*("(?:[^"\\]|\\.)*")`)

// secrets takes out of a text what nobody is to read.
type secrets struct {
	replacer *strings.Replacer
	longest  int // bytes
}

// secretsOf finds the secrets in an environment, besides those given: the values of variables, and in JSON, that are named like it,
// and the passwords in URLs and other connection strings, in every way that they are written in.
func secretsOf(environ []string, given ...string) secrets {
	var found []string
	add := func(s string) {
		found = append(found, s, url.QueryEscape(s), url.PathEscape(s), strings.Trim(strconv.Quote(s), `"`))
	}
	addLines := func(value string) { // output is looked through line by line
		for _, line := range strings.Split(value, "\n") {
			if line = strings.TrimSpace(line); len(line) >= shortestSecret {
				add(line)
			}
		}
	}
	for _, s := range given {
		add(s)
	}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		for _, password := range passwordsIn(value) {
			found = append(found, password)
			if u, err := url.PathUnescape(password); err == nil {
				add(u)
			}
		}
		for _, member := range jsonMember().FindAllStringSubmatch(value, -1) {
			var text string
			if secretName().MatchString(member[1]) && json.Unmarshal([]byte(member[2]), &text) == nil {
				addLines(strings.Trim(member[2], `"`))
				addLines(text)
			}
		}
		if name == "PWD" || name == "OLDPWD" || strings.HasSuffix(name, "_FILE") || strings.HasSuffix(name, "_PATH") || !secretName().MatchString(name) {
			continue
		}
		addLines(value)
	}
	return newSecrets(found)
}

func newSecrets(texts []string) secrets {
	texts = slices.DeleteFunc(slices.Clone(texts), func(s string) bool { return s == "" })
	slices.SortFunc(texts, func(a, b string) int { return len(b) - len(a) }) // of two that begin alike the longer one is meant
	texts = slices.Compact(texts)
	var s secrets
	var pairs []string
	for _, text := range texts {
		s.longest = max(s.longest, len(text))
		pairs = append(pairs, text, redacted)
	}
	s.replacer = strings.NewReplacer(pairs...)
	return s
}

// passwordsIn returns the passwords of connection strings as they are written there.
func passwordsIn(value string) []string {
	found := urlPasswords(value)
	for _, said := range saysPassword().FindAllStringSubmatch(value, -1) {
		found = append(found, said[1]+said[2])
	}
	return slices.DeleteFunc(found, func(s string) bool { return s == "" })
}

// urlPasswords returns the passwords of a URL, or of a list of them, as they are written there; empty ones where there is none.
func urlPasswords(value string) []string {
	_, rest, _ := strings.Cut(value, "://")
	authority, _, _ := strings.Cut(rest, "?")
	at := strings.LastIndexByte(authority, '@') // a password may hold what should have been escaped
	found := []string{passwordOf(authority[:max(0, at)])}
	for _, rest := range strings.Split(value, "://")[1:] {
		if user, _, ok := strings.Cut(rest, "@"); ok && !strings.ContainsAny(user, "\" \t\n") { // else it is no longer the URL
			found = append(found, passwordOf(user))
		}
	}
	return found
}

// passwordOf returns the password in what a URL has before the host, which may be a token alone, as GitHub's are.
func passwordOf(user string) string {
	name, password, _ := strings.Cut(user, ":")
	if password == "" && len(name) >= shortestToken && strings.ContainsAny(name, "0123456789") && !strings.ContainsAny(name, "/?#,") {
		return name
	}
	return password
}

// redact returns a text without the secrets.
func (s secrets) redact(text string) string { return s.replacer.Replace(text) }

// pattern is a regular expression that is compiled when it is first needed: most runs need none, and all of them together would take
// a tenth of the time in which the program starts.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
