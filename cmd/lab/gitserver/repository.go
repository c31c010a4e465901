package gitserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// nameRule keeps names to one path segment that is neither hidden nor an option.
var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// zero stands for "no commit" where a ref is created or deleted, as in git's own hooks.
const zero = "0000000000000000000000000000000000000000"

// repository is one bare repository. Pushes to it go one at a time, so that what a push changed can be told.
type repository struct {
	name string
	dir  string
	push sync.Mutex
}

// validName returns the repository's name without .git.
func validName(name string) (string, error) {
	name = strings.TrimSuffix(name, ".git")
	if !nameRule.MatchString(name) {
		return "", fmt.Errorf("repository name %q: letters, digits, dots, dashes and underscores only, starting with a letter or digit", name)
	}
	return name, nil
}

// create makes the bare repository, with the branch main and pushes over HTTP allowed; one that is there stays as it is.
func (r *repository) create(ctx context.Context) error {
	if r.exists() {
		return nil
	}
	if _, err := r.git(ctx, "init", "--quiet", "--bare", "--initial-branch=main", r.dir); err != nil {
		return err
	}
	_, err := r.git(ctx, "--git-dir="+r.dir, "config", "http.receivepack", "true")
	return err
}

func (r *repository) exists() bool {
	_, err := os.Stat(filepath.Join(r.dir, "HEAD"))
	return !errors.Is(err, fs.ErrNotExist)
}

// refs are the branches and tags and what they point to; a tag object counts as the commit it names.
func (r *repository) refs(ctx context.Context) (map[string]string, error) {
	out, err := r.git(ctx, "--git-dir="+r.dir, "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)")
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) >= 2 {
			refs[fields[0]] = fields[len(fields)-1]
		}
	}
	return refs, nil
}

// defaultBranch is the branch that HEAD names.
func (r *repository) defaultBranch(ctx context.Context) (string, error) {
	out, err := r.git(ctx, "--git-dir="+r.dir, "symbolic-ref", "--short", "HEAD")
	return strings.TrimSpace(out), err
}

// git runs git unaffected by the user's and the system's configuration.
func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = environment()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("repository %s: git %s: %w: %s", r.name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// environment of git: the PATH, and none of the configuration that a machine may have.
func environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		// the server may run as another user than the one that made the directory
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}
}
