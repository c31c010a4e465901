package kustomize

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// remote matches what kustomize fetches instead of reading it: a URL, or a git repository as ssh and GitHub call it (kustomize,
// "Remote Targets").
var remote = regexp.MustCompile(`(?i)^(git::)?((ssh|https?|file)://|github\.com[/:]|[a-z][-a-z0-9]*@[^/:]+[/:])`)

// Fields of a kustomization that name files and directories: by all their words, or by those of some keys within.
var (
	naming       = append([]string{"crds", "configurations", "openapi", "patchesStrategicMerge"}, including...)
	namingWithin = map[string][]string{
		"patches": {"path"}, "patchesJson6902": {"path"}, "replacements": {"path"},
		"configMapGenerator": {"files", "envs", "env"}, "secretGenerator": {"files", "envs", "env"},
	}
)

// remoteOf returns the problem with a kustomization that has something fetched; nil if it has nothing.
func remoteOf(file string, kustomization []byte) *Problem {
	root, err := parseMapping(kustomization)
	if err != nil || root == nil {
		return nil // kustomize will say so
	}
	for key, value := range pairs(root) {
		if found := remoteIn(value, slices.Contains(naming, key), namingWithin[key]); found != nil {
			return &Problem{file, found.Line, fmt.Sprintf("%s: %s is remote, and what is remote is not fetched", key, withoutUser(found.Value)),
				"copy it into the repository, or have it fetched: schemawave render --remote"}
		}
	}
	return nil
}

// remoteIn returns the first scalar that names something remote, among all or below some keys.
func remoteIn(n *yaml.Node, all bool, keys []string) *yaml.Node {
	if n.Kind == yaml.ScalarNode {
		_, source, _ := strings.Cut(n.Value, "=") // a generator's file may be given another name
		if all && (remote.MatchString(n.Value) || remote.MatchString(source)) {
			return n
		}
		return nil
	}
	for key, value := range pairs(n) {
		if found := remoteIn(value, all || slices.Contains(keys, key), keys); found != nil {
			return found
		}
	}
	if n.Kind == yaml.SequenceNode {
		for _, e := range n.Content {
			if found := remoteIn(e, all, keys); found != nil {
				return found
			}
		}
	}
	return nil
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
