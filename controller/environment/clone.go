package environment

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// maxPacks bounds the packs a clone collects, one for each fetch and push: every look-up searches all of them. A clone
// that reaches it is made anew, shallow, which is cheaper than repacking.
const maxPacks = 200

// clone holds the objects of one branch on disk. It has no references and no index: the writer knows its tips.
type clone struct {
	objects *filesystem.Storage
	tip     plumbing.Hash              // the newest commit held with its whole tree; zero before the first fetch
	shallow map[plumbing.Hash]struct{} // commits whose parents are not held
	packs   int
	torn    bool // a fetch broke off, and has left what it had received so far
}

// newClone makes an empty clone in dir, which it empties.
func newClone(dir string) (*clone, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("empty the clone: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "objects", "pack"), 0o755); err != nil {
		return nil, fmt.Errorf("make the clone: %w", err)
	}
	s := filesystem.NewStorageWithOptions(osfs.New(dir), cache.NewObjectLRU(32*cache.MiByte),
		filesystem.Options{ExclusiveAccess: true, KeepDescriptors: true})
	return &clone{objects: s, shallow: map[plumbing.Hash]struct{}{}}, nil
}

func (c *clone) close() error { return c.objects.Close() }

func (c *clone) has(commit plumbing.Hash) bool {
	return commit == c.tip || c.objects.HasEncodedObject(commit) == nil
}

func (c *clone) shallows() []plumbing.Hash { return slices.Collect(maps.Keys(c.shallow)) }

// fetched notes what a fetch brought.
func (c *clone) fetched(shallow, unshallow []plumbing.Hash) {
	c.packs++
	for _, h := range shallow {
		c.shallow[h] = struct{}{}
	}
	for _, h := range unshallow {
		delete(c.shallow, h)
	}
}

// adopt takes over the pack of a commit that was pushed.
func (c *clone) adopt(commit plumbing.Hash, pack []byte) error {
	if err := packfile.UpdateObjectStorage(c.objects, bytes.NewReader(pack)); err != nil {
		return fmt.Errorf("keep the pushed commit: %w", err)
	}
	c.tip = commit
	c.packs++
	return nil
}

func (c *clone) commit(h plumbing.Hash) (*object.Commit, error) {
	commit, err := object.GetCommit(c.objects, h)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", h, err)
	}
	return commit, nil
}

// entry is what a tree holds under one name. The zero value is nothing.
type entry struct {
	mode filemode.FileMode
	hash plumbing.Hash
}

func (e entry) isDir() bool  { return e.mode == filemode.Dir }
func (e entry) exists() bool { return e.mode != filemode.Empty }

// tree returns the entries of a tree, none for the zero hash.
func (c *clone) tree(h plumbing.Hash) (map[string]entry, error) {
	if h.IsZero() {
		return nil, nil
	}
	t, err := object.GetTree(c.objects, h)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", h, err)
	}
	m := make(map[string]entry, len(t.Entries))
	for _, e := range t.Entries {
		m[e.Name] = entry{e.Mode, e.Hash}
	}
	return m, nil
}

// lookup finds a slash-separated path below a tree; "." is the tree itself.
func (c *clone) lookup(root plumbing.Hash, path string) (entry, error) {
	at := entry{filemode.Dir, root}
	if path == "." {
		return at, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if !at.isDir() {
			return entry{}, nil
		}
		m, err := c.tree(at.hash)
		if err != nil {
			return entry{}, err
		}
		at = m[name]
	}
	return at, nil
}

// blob returns a file's content, nothing for the zero hash.
func (c *clone) blob(h plumbing.Hash) ([]byte, error) {
	if h.IsZero() {
		return nil, nil
	}
	o, err := c.objects.EncodedObject(plumbing.BlobObject, h)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", h, err)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", h, err)
	}
	defer r.Close()
	return io.ReadAll(r)
}
