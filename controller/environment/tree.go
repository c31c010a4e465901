package environment

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"
)

// change is one path that two trees hold differently; never a directory.
type change struct {
	path     string
	from, to entry
}

// diff lists the differing files of two trees, sorted by path; the zero hash is the empty tree. It opens only the
// directories that differ.
func (c *clone) diff(from, to plumbing.Hash) ([]change, error) {
	var out []change
	err := c.walk("", entry{filemode.Dir, from}, entry{filemode.Dir, to}, &out)
	slices.SortFunc(out, func(a, b change) int { return strings.Compare(a.path, b.path) })
	return out, err
}

// diffAt is diff for one file or directory of the trees.
func (c *clone) diffAt(path string, from, to plumbing.Hash) ([]change, error) {
	if path == "." {
		return c.diff(from, to)
	}
	a, err := c.lookup(from, path)
	if err != nil {
		return nil, err
	}
	b, err := c.lookup(to, path)
	if err != nil {
		return nil, err
	}
	var out []change
	err = c.compare(path, a, b, &out)
	return out, err
}

// walk adds the differences below dir, where a and b are directories or nothing.
func (c *clone) walk(dir string, a, b entry, out *[]change) error {
	if a.hash == b.hash {
		return nil
	}
	from, err := c.tree(a.hash)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	to, err := c.tree(b.hash)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	for name, x := range from {
		if err := c.compare(dir+name, x, to[name], out); err != nil {
			return err
		}
	}
	for name, y := range to {
		if _, both := from[name]; !both {
			if err := c.compare(dir+name, entry{}, y, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *clone) compare(path string, a, b entry, out *[]change) error {
	if a == b {
		return nil
	}
	var dirs, files [2]entry
	for i, e := range [2]entry{a, b} {
		if e.isDir() {
			dirs[i] = e
		} else {
			files[i] = e
		}
	}
	if files[0] != files[1] {
		*out = append(*out, change{path, files[0], files[1]})
	}
	if dirs[0] == dirs[1] {
		return nil
	}
	return c.walk(path+"/", dirs[0], dirs[1], out)
}

// edit is a file's new content; none deletes it.
type edit struct {
	path    string
	content []byte
	mode    filemode.FileMode // Empty deletes
}

// stage collects the new objects of one commit, apart from the clone until the host has taken them.
type stage struct {
	clone *clone
	store *memory.Storage
	made  []plumbing.Hash
}

func newStage(c *clone) *stage { return &stage{clone: c, store: memory.NewStorage()} }

// put adds an object that encodes itself.
func (s *stage) put(encode func(plumbing.EncodedObject) error) (plumbing.Hash, error) {
	o := s.store.NewEncodedObject()
	if err := encode(o); err != nil {
		return plumbing.ZeroHash, err
	}
	if s.store.HasEncodedObject(o.Hash()) == nil {
		return o.Hash(), nil
	}
	s.made = append(s.made, o.Hash())
	return s.store.SetEncodedObject(o)
}

// rewrite returns the tree that base becomes under the edits. Only trees on their paths are read and made; a directory
// that becomes empty vanishes, as git has none.
func (s *stage) rewrite(base plumbing.Hash, edits []edit) (plumbing.Hash, error) {
	entries, err := s.clone.tree(base)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if entries == nil {
		entries = map[string]entry{}
	}
	below := map[string][]edit{}
	for _, e := range edits {
		name, rest, deeper := strings.Cut(e.path, "/")
		if deeper {
			below[name] = append(below[name], edit{rest, e.content, e.mode})
			continue
		}
		if entries[name], err = s.file(e); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	for name, edits := range below {
		var old plumbing.Hash
		if entries[name].isDir() {
			old = entries[name].hash
		}
		h, err := s.rewrite(old, edits)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		switch {
		case !h.IsZero():
			entries[name] = entry{filemode.Dir, h}
		case entries[name].isDir():
			delete(entries, name)
		}
	}
	return s.tree(entries)
}

func (s *stage) file(e edit) (entry, error) {
	if e.mode == filemode.Empty {
		return entry{}, nil
	}
	h, err := s.put(func(o plumbing.EncodedObject) error {
		o.SetType(plumbing.BlobObject)
		w, err := o.Writer()
		if err != nil {
			return err
		}
		if _, err := w.Write(e.content); err != nil {
			return err
		}
		return w.Close()
	})
	return entry{e.mode, h}, err
}

// tree makes a tree of the entries that exist; of none, the zero hash.
func (s *stage) tree(entries map[string]entry) (plumbing.Hash, error) {
	t := &object.Tree{}
	for name, e := range entries {
		if e.exists() {
			t.Entries = append(t.Entries, object.TreeEntry{Name: name, Mode: e.mode, Hash: e.hash})
		}
	}
	if len(t.Entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	sort.Sort(object.TreeEntrySorter(t.Entries))
	return s.put(t.Encode)
}

// pack returns the new objects as the host wants them. They are few and small, so no deltas are sought.
func (s *stage) pack() ([]byte, error) {
	var b bytes.Buffer
	if _, err := packfile.NewEncoder(&b, s.store, false).Encode(s.made, 0); err != nil {
		return nil, fmt.Errorf("pack the commit: %w", err)
	}
	return b.Bytes(), nil
}
