package kustomize

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitattributes"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// hidden says which file of the overlay git does not hold as it is here, and why: it leaves it out (gitignore), or turns it into something
// else (gitattributes: a filter, as git-crypt's). It is "" if there is none, or no .git is in the repository's root.
func (w *work) hidden() (string, error) {
	if _, err := w.Lstat(".git"); err != nil {
		return "", nil
	}
	loaded := inclusions{w.repository, w.abs(entry), map[string]weight{}, nil}
	if _, err := loaded.of(w.abs("")); err != nil {
		return "", err
	}
	rules := gitRules{tree: w.tree, of: map[string]gitRule{}}
	for _, file := range loaded.files {
		rel, err := filepath.Rel(w.dir, file)
		if err != nil {
			return "", err
		}
		if why := rules.hide(filepath.ToSlash(rel)); why != "" {
			return fmt.Sprintf("%s, of which the overlay is made, %s", filepath.ToSlash(rel), why), nil
		}
	}
	return "", nil
}

// gitRules are those of the directories of a repository, each read once.
type gitRules struct {
	tree *tree
	of   map[string]gitRule
}

// gitRule is what git does with the files of a directory, by the rules there and around it.
type gitRule struct {
	ignore     []gitignore.Pattern
	attributes []gitattributes.MatchAttribute
}

// hide says what git does with a file that is not to hold it as it is; "" if it holds it.
func (g gitRules) hide(file string) string {
	rule, parts := g.in(path.Dir(file)), strings.Split(file, "/")
	if gitignore.NewMatcher(rule.ignore).Match(parts, false) {
		return "is left out of git (.gitignore)"
	}
	const filter, lfs = "filter", "lfs" // the latter keeps it elsewhere, but as it is
	found, _ := gitattributes.NewMatcher(rule.attributes).Match(parts, []string{filter})
	if f, ok := found[filter]; ok && f.IsValueSet() && f.Value() != lfs {
		return fmt.Sprintf("is something else in git (.gitattributes: filter=%s)", f.Value())
	}
	return ""
}

func (g gitRules) in(dir string) gitRule {
	if known, ok := g.of[dir]; ok {
		return known
	}
	var rule gitRule
	var domain []string
	if dir != "." {
		around := g.in(path.Dir(dir))
		rule = gitRule{slices.Clip(around.ignore), slices.Clip(around.attributes)}
		domain = strings.Split(dir, "/")
	} else {
		rule.ignore = g.patterns(".git/info/exclude", nil)
	}
	rule.ignore = append(rule.ignore, g.patterns(path.Join(dir, ".gitignore"), domain)...)
	if text, err := fs.ReadFile(g.tree, path.Join(dir, ".gitattributes")); err == nil {
		all, _ := gitattributes.ReadAttributes(bytes.NewReader(text), domain, dir == ".") // those before a line that git, too, would complain of
		rule.attributes = append(rule.attributes, all...)
	}
	g.of[dir] = rule
	return rule
}

// patterns reads a file as gitignore(5) describes it; none if it is not there.
func (g gitRules) patterns(file string, domain []string) []gitignore.Pattern {
	text, err := fs.ReadFile(g.tree, file)
	if err != nil {
		return nil
	}
	var all []gitignore.Pattern
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			all = append(all, gitignore.ParsePattern(line, domain))
		}
	}
	return all
}
