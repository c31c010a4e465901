package environment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// checkout holds the files of one tree on disk for the renderer to read, and takes what it writes. All writing goes
// through an os.Root: no path and no link in a repository leads out of it.
type checkout struct {
	dir   string
	root  *os.Root
	tree  plumbing.Hash     // what is on disk, but for the overlays being rendered
	links map[string]string // symbolic links of the tree, with their targets
}

// newCheckout makes an empty checkout in dir, which it empties.
func newCheckout(dir string) (*checkout, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("empty the checkout: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the checkout: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("make the checkout: %w", err)
	}
	return &checkout{dir: dir, root: root, links: map[string]string{}}, nil
}

func (k *checkout) close() error { return k.root.Close() }

// to brings the checkout to a tree, touching only what differs, and returns that. After an error its state is unknown.
func (k *checkout) to(c *clone, tree plumbing.Hash) ([]change, error) {
	changes, err := c.diff(k.tree, tree)
	if err != nil {
		return nil, fmt.Errorf("check out: %w", err)
	}
	relink := false
	for _, ch := range changes { // what goes must go first: a file may become a directory
		if ch.from.exists() && (!ch.to.exists() || ch.from.mode != ch.to.mode) {
			relink = relink || ch.from.mode == filemode.Symlink
			if err := k.remove(ch.path); err != nil {
				return nil, fmt.Errorf("check out %s: %w", ch.path, err)
			}
		}
	}
	for _, ch := range changes {
		if !ch.to.exists() {
			continue
		}
		relink = relink || ch.to.mode == filemode.Symlink
		if err := k.write(c, ch.path, ch.to); err != nil {
			return nil, fmt.Errorf("check out %s: %w", ch.path, err)
		}
	}
	k.tree = tree
	if relink {
		err = k.relink()
	}
	return changes, err
}

// remove deletes a file, and the directories it leaves empty.
func (k *checkout) remove(name string) error {
	delete(k.links, name)
	if err := k.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if k.root.Remove(dir) != nil {
			return nil
		}
	}
	return nil
}

func (k *checkout) write(c *clone, name string, e entry) error {
	if e.mode == filemode.Submodule {
		return nil
	}
	content, err := c.blob(e.hash)
	if err != nil {
		return err
	}
	if e.mode == filemode.Symlink {
		k.links[name] = string(content)
		return nil
	}
	return k.put(name, content, e.mode)
}

// put writes one regular file.
func (k *checkout) put(name string, content []byte, mode filemode.FileMode) error {
	perm := fs.FileMode(0o644)
	if mode == filemode.Executable {
		perm = 0o755
	}
	err := k.root.WriteFile(name, content, perm)
	if errors.Is(err, fs.ErrNotExist) {
		if err := k.root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		err = k.root.WriteFile(name, content, perm)
	}
	return err
}

// relink puts the symbolic links on disk, all of them, because one can change where another leads. Those that lead out
// of the checkout are left out: the renderer follows links, and a repository must not reach the controller's files.
func (k *checkout) relink() error {
	for name := range k.links {
		if err := k.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("check out %s: %w", name, err)
		}
	}
	for name, target := range k.links {
		if err := k.root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return fmt.Errorf("check out %s: %w", name, err)
		}
		if err := k.root.Symlink(target, name); err != nil {
			return fmt.Errorf("check out %s: %w", name, err)
		}
	}
	for { // leaving one out can break another, never mend it
		var out []string // judged together, so that the order of the map decides nothing
		for name := range k.links {
			if _, err := k.root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				out = append(out, name)
			}
		}
		removed := false
		for _, name := range out {
			removed = k.root.Remove(name) == nil || removed
		}
		if !removed {
			return nil
		}
	}
}

// path returns where a slash-separated path of the repository is on disk.
func (k *checkout) path(name string) string { return filepath.Join(k.dir, filepath.FromSlash(name)) }
