package gitserver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxCommits is how many commits an event lists, as on GitHub.
const maxCommits = 2048

// change is a ref that a push moved; before or after is zero when it was created or deleted.
type change struct{ ref, before, after string }

// changes are the differences between two states of a repository's refs, in the order of their names.
func changes(before, after map[string]string) []change {
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	var all []change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c := change{ref: name, before: zero, after: zero}
		if hash, ok := before[name]; ok {
			c.before = hash
		}
		if hash, ok := after[name]; ok {
			c.after = hash
		}
		if c.before != c.after {
			all = append(all, c)
		}
	}
	return all
}

// author is a person as GitHub's events name one.
type author struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// commit is a commit as GitHub's push events describe one.
type commit struct {
	ID        string   `json:"id"`
	TreeID    string   `json:"tree_id"`
	Distinct  bool     `json:"distinct"`
	Message   string   `json:"message"`
	Timestamp string   `json:"timestamp"`
	URL       string   `json:"url"`
	Author    author   `json:"author"`
	Committer author   `json:"committer"`
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Modified  []string `json:"modified"`
}

// The log's format: a record begins with RS, its fields are divided by US, and the names of the files that changed
// follow, NUL after each.
const (
	recordMark = "\x1e"
	fieldMark  = "\x1f"
	logFormat  = "%x1e%H%x1f%T%x1f%an%x1f%ae%x1f%cn%x1f%ce%x1f%cI%x1f%B%x1f"
	logFields  = 8
)

// commits are what the change added to the ref, oldest first: for a new ref, what no ref had before.
func (r *repository) commits(ctx context.Context, c change, before map[string]string) ([]commit, error) {
	if c.after == zero {
		return nil, nil
	}
	args := []string{"--git-dir=" + r.dir, "log", "--reverse", "--name-status", "--no-renames", "--diff-merges=first-parent", "-z",
		fmt.Sprintf("--max-count=%d", maxCommits), "--format=" + logFormat, c.after}
	if c.before != zero {
		args = append(args, "^"+c.before)
	} else {
		for _, hash := range before {
			args = append(args, "^"+hash)
		}
	}
	out, err := r.git(ctx, args...)
	if err != nil {
		return nil, err
	}
	var all []commit
	for record := range strings.SplitSeq(out, recordMark) {
		if strings.Trim(record, "\x00\n") == "" {
			continue
		}
		one, err := parseCommit(record)
		if err != nil {
			return nil, fmt.Errorf("repository %s: %w", r.name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// forced tells whether the change left commits of the ref behind.
func (r *repository) forced(ctx context.Context, c change) (bool, error) {
	if c.before == zero || c.after == zero {
		return false, nil
	}
	out, err := r.git(ctx, "--git-dir="+r.dir, "rev-list", "--max-count=1", c.before, "^"+c.after)
	return out != "", err
}

func parseCommit(record string) (commit, error) {
	f := strings.SplitN(record, fieldMark, logFields+1)
	if len(f) != logFields+1 {
		return commit{}, fmt.Errorf("read git log: a record of %d fields", len(f))
	}
	when, err := time.Parse(time.RFC3339, f[6])
	if err != nil {
		return commit{}, fmt.Errorf("read git log: %w", err)
	}
	c := commit{
		ID: f[0], TreeID: f[1], Distinct: true, Message: strings.TrimSpace(f[7]), Timestamp: when.Format(time.RFC3339),
		Author: author{f[2], f[3]}, Committer: author{f[4], f[5]},
		Added: []string{}, Removed: []string{}, Modified: []string{},
	}
	files := strings.Split(strings.Trim(f[8], "\x00\n"), "\x00")
	for i := 0; i+1 < len(files); i += 2 {
		switch path := files[i+1]; strings.Trim(files[i], "\n") {
		case "A":
			c.Added = append(c.Added, path)
		case "D":
			c.Removed = append(c.Removed, path)
		default: // content, mode or type
			c.Modified = append(c.Modified, path)
		}
	}
	return c, nil
}
