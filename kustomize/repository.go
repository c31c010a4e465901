package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// repository is an environment repository and the overlay in it that is being rendered. All paths in it are relative to the
// repository's root and have slashes; no symbolic link leads out of it.
type repository struct {
	*tree
	dir     string // absolute, without symbolic links
	overlay string
}

// open finds the overlay within the repository. An empty root means the nearest directory around the overlay with a .git.
func open(root, overlay string) (*repository, error) {
	abs, err := realPath(overlay)
	if err != nil {
		return nil, err
	}
	if root == "" {
		if root, err = gitRoot(abs); err != nil {
			return nil, err
		}
	}
	dir, err := realPath(root)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(dir, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("overlay %s is outside of the repository %s", abs, dir)
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &repository{tree: &tree{root: r}, dir: dir, overlay: filepath.ToSlash(rel)}, nil
}

func realPath(p string) (string, error) {
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

func gitRoot(dir string) (string, error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return d, nil
		}
		if filepath.Dir(d) == d {
			return "", fmt.Errorf("no git repository around %s: name the root of what it belongs to (--root)", dir)
		}
	}
}

// in returns the path of a file of the overlay.
func (r *repository) in(name string) string { return path.Join(r.overlay, name) }

// abs returns the absolute path of a file of the overlay.
func (r *repository) abs(name string) string {
	return filepath.Join(r.dir, filepath.FromSlash(r.in(name)))
}

// list returns the entries of a directory in order; none if it is not there.
func (r *repository) list(dir string) ([]fs.DirEntry, error) {
	entries, err := r.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// outside reports whether an absolute path leads out of the repository, by itself or by a symbolic link, without a look at what is
// there.
func (r *repository) outside(name string) bool {
	rel, err := filepath.Rel(r.dir, name)
	if err != nil || !filepath.IsLocal(rel) {
		return true
	}
	_, err = fs.Stat(r.tree, filepath.ToSlash(rel))
	return err != nil && !errors.As(err, new(syscall.Errno)) // os.Root refuses it; all else comes from the system
}

// directory resolves a path relative to the overlay to a directory of the repository, or says what is wrong with it.
func (r *repository) directory(rel string) (dir, wrong, remedy string) {
	dir = path.Join(r.overlay, rel)
	if path.IsAbs(rel) || dir == ".." || strings.HasPrefix(dir, "../") {
		return "", rel + " is outside of the repository", "name a directory of this repository, relative to the overlay"
	}
	switch info, err := fs.Stat(r.tree, dir); {
	case errors.Is(err, fs.ErrNotExist):
		return "", rel + " does not exist", "create " + dir + ", or correct the path: it is relative to the overlay"
	case err != nil:
		return "", rel + " cannot be read: " + cause(err), "name a directory of this repository that no symbolic link leads out of"
	case !info.IsDir():
		return "", rel + " is not a directory", "name the directory that holds the SQL files"
	}
	return dir, "", ""
}

// cause is an error's text without the path that a file system puts before it.
func cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
