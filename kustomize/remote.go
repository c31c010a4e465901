package kustomize

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// remote matches what kustomize fetches instead of reading it: a URL, or a git repository as ssh and GitHub call it (kustomize,
// "Remote Targets").
var remote = regexp.MustCompile(`(?i)^(git::)?((ssh|https?|file)://|github\.com[/:]|[a-z][-a-z0-9]*@[^/:]+[/:])`)

// remoteOf returns the problem with a kustomization that has something fetched, itself or by what it generates and transforms
// with; nil if it has nothing.
func remoteOf(file string, kustomization []byte) *Problem {
	for field, n := range paths(kustomization) {
		found := n.Value
		if in(configuring, field) && !isRemote(found) {
			found = remoteIn([]byte(n.Value))
		}
		if isRemote(found) {
			return fetched(file, n.Line, field, found)
		}
	}
	return nil
}

// configuring are the fields of a kustomization whose words may be configurations themselves instead of the paths of some.
var configuring = []string{"generators", "transformers", "validators"}

// remoteInFile returns the problem with a file that has kustomize's own plugins fetch something.
func remoteInFile(file string, content []byte) *Problem {
	found := remoteIn(content)
	if found == "" {
		return nil
	}
	line := 1 + bytes.Count(content[:max(0, bytes.Index(content, []byte(found)))], []byte("\n"))
	return fetched(file, line, "configuration", found)
}

// remoteIn returns what the configurations in a text name for kustomize's own plugins to fetch; "" if there is nothing.
func remoteIn(content []byte) string {
	if !bytes.Contains(content, []byte("builtin")) && !escaped.Match(content) {
		return ""
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		if decoder.Decode(&doc) != nil {
			return "" // its end, or nothing that kustomize could use
		}
		if len(doc.Content) == 0 {
			continue
		}
		ours := false
		for key, value := range meant(doc.Content[0]) {
			ours = ours || key == "apiVersion" && decoded(target(value)).Value == "builtin"
		}
		if !ours {
			continue
		}
		for n := range words(doc.Content[0], false, []string{"path", "paths", "files", "envs", "env"}) {
			if isRemote(n.Value) {
				return n.Value
			}
		}
	}
}

// isRemote reports whether a word names what is fetched, also where it is the file of a generator, which may be given another name.
func isRemote(word string) bool {
	_, source, _ := strings.Cut(word, "=")
	return remote.MatchString(word) || remote.MatchString(source)
}

func fetched(file string, line int, field, found string) *Problem {
	return &Problem{file, line, fmt.Sprintf("%s: %s is remote, and what is remote is not fetched", field, withoutUser(found)),
		"copy it into the repository, or have it fetched: schemawave render --remote"}
}

// withoutUser leaves out of a URL who asks, which may include a token.
func withoutUser(url string) string {
	if scheme, rest, ok := strings.Cut(url, "://"); ok {
		if _, host, ok := strings.Cut(rest, "@"); ok {
			return scheme + "://" + host
		}
	}
	return url
}
