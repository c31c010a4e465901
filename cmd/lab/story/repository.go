package story

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Repository is a developer's clone of the environment repository.
type Repository struct {
	dir string
}

// Clone clones the empty repository at url into dir and fills it with the tree below example, in which each key of replace
// is replaced by its value. It commits nothing.
func Clone(ctx context.Context, url, dir, example string, replace map[string]string) (*Repository, error) {
	r := &Repository{dir: dir}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("clone %s: %w", url, err)
	}
	if _, err := r.git(ctx, "clone", "--quiet", url, "."); err != nil {
		return nil, err
	}
	if _, err := r.git(ctx, "checkout", "--quiet", "-B", "main"); err != nil {
		return nil, err
	}
	for _, part := range []string{"orders", "storefront"} {
		if err := copyTree(filepath.Join(example, part), filepath.Join(dir, part), replace); err != nil {
			return nil, fmt.Errorf("copy the example: %w", err)
		}
	}
	return r, nil
}

// unused refuses a repository that has commits already: the story begins at the beginning, and overwrites nobody's work. One
// that cannot be read may not have been made yet; Clone will tell.
func unused(ctx context.Context, url string) error {
	heads, err := (&Repository{}).git(ctx, "ls-remote", "--heads", url)
	if err == nil && heads != "" {
		return fmt.Errorf("%s has commits already: give an empty repository, or end the last demo with make demo-down", url)
	}
	return nil
}

// copyTree copies the files below from to the directory to, with replacements.
func copyTree(from, to string, replace map[string]string) error {
	pairs := make([]string, 0, 2*len(replace))
	for old, new := range replace {
		pairs = append(pairs, old, new)
	}
	replacer := strings.NewReplacer(pairs...)
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), []byte(replacer.Replace(string(b))), 0o644)
	})
}

// Write puts a file into the working tree.
func (r *Repository) Write(path, content string) error {
	full := filepath.Join(r.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Push commits everything as the developer and pushes it, on top of what the controller has pushed meanwhile. It returns
// the commit.
func (r *Repository) Push(ctx context.Context, message string) (string, error) {
	if _, err := r.git(ctx, "add", "--all"); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, "-c", "user.name=Dana Developer", "-c", "user.email=dana@example.com",
		"commit", "--quiet", "--message", message); err != nil {
		return "", err
	}
	if remote, err := r.git(ctx, "ls-remote", "origin", "refs/heads/main"); err != nil {
		return "", err
	} else if remote != "" {
		if _, err := r.git(ctx, "-c", "user.name=Dana Developer", "-c", "user.email=dana@example.com",
			"pull", "--quiet", "--rebase", "origin", "main"); err != nil {
			return "", err
		}
	}
	if _, err := r.git(ctx, "push", "--quiet", "origin", "HEAD:main"); err != nil {
		return "", err
	}
	return r.git(ctx, "rev-parse", "HEAD")
}

// Rendered waits until the controller has pushed its commit on top of source, pulls it, and returns it.
func (r *Repository) Rendered(ctx context.Context, source string) (string, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := r.git(ctx, "fetch", "--quiet", "origin", "main"); err != nil && ctx.Err() == nil {
			return "", err
		}
		if ctx.Err() != nil {
			return "", fmt.Errorf("no rendered commit on top of %.8s: %w: see the controller's log", source, ctx.Err())
		}
		head, err := r.git(ctx, "log", "-1", "--format=%H", "--grep", "^Schemawave-Rendered: "+source, source+"..origin/main")
		if err != nil {
			return "", err
		}
		if head != "" {
			_, err := r.git(ctx, "reset", "--quiet", "--hard", "origin/main")
			return head, err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Changed lists the files of a commit.
func (r *Repository) Changed(ctx context.Context, commit string) (string, error) {
	return r.git(ctx, "show", "--stat=100", "--format=%an: %s", commit)
}

// Show returns the newest commit of a branch of a repository, which may be another one, and a file of it.
func (r *Repository) Show(ctx context.Context, url, branch, path string) (commit, content string, err error) {
	if _, err = r.git(ctx, "fetch", "--quiet", url, "refs/heads/"+branch); err != nil {
		return "", "", err
	}
	if commit, err = r.git(ctx, "rev-parse", "FETCH_HEAD"); err != nil {
		return "", "", err
	}
	content, err = r.git(ctx, "show", commit+":"+path)
	return commit, content, err
}

// Merge has a branch of a repository, which may be another one, become what another branch of it is, as a git host does that merges a pull
// request: by a commit that has both for parents or, with forward, by none. It returns the newest commit then.
func (r *Repository) Merge(ctx context.Context, url, from, into string, forward bool) (string, error) {
	if _, err := r.git(ctx, "fetch", "--quiet", url, "+refs/heads/"+from+":refs/merge/from", "+refs/heads/"+into+":refs/merge/into"); err != nil {
		return "", err
	}
	commit, err := r.git(ctx, "rev-parse", "refs/merge/from")
	if err == nil && !forward {
		commit, err = r.git(ctx, "-c", "user.name=Dana Developer", "-c", "user.email=dana@example.com",
			"commit-tree", "-p", "refs/merge/into", "-p", commit, "-m", "Merge "+from, commit+"^{tree}")
	}
	if err != nil {
		return "", err
	}
	_, err = r.git(ctx, "push", "--quiet", url, commit+":refs/heads/"+into)
	return commit, err
}

func (r *Repository) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
