package kustomize

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// tree is the files of a repository, as its os.Root has them: no symbolic link leads out. Each directory is looked up once, for
// finding every file from the root again is most of the time that reading an overlay takes. Directories keep their places meanwhile.
type tree struct {
	root *os.Root
	mu   sync.Mutex
	dirs map[string]*os.Root // those looked up; nil for one that is not there
}

// openDirectories is how many are kept, for each is an open file. A repository may have any number.
const openDirectories = 256

// dir returns a directory that is kept; nil if it is not there, or there are too many.
func (t *tree) dir(name string) *os.Root {
	if name == "." {
		return t.root
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	found, known := t.dirs[name]
	if !known && len(t.dirs) < openDirectories {
		found, _ = t.root.OpenRoot(name)
		if t.dirs == nil {
			t.dirs = map[string]*os.Root{}
		}
		t.dirs[name] = found
	}
	return found
}

// Open implements fs.FS. It does not wait for anybody to write into a pipe.
func (t *tree) Open(name string) (fs.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	if dir := t.dir(path.Dir(name)); dir != nil {
		if f, err := dir.OpenFile(path.Base(name), flags, 0); err == nil {
			return f, nil
		}
	}
	return t.root.OpenFile(name, flags, 0) // a link out of the directory, or an error, which is to name the whole path
}

// Lstat implements fs.ReadLinkFS as far as it is needed here.
func (t *tree) Lstat(name string) (fs.FileInfo, error) {
	if dir := t.dir(path.Dir(name)); dir != nil {
		return dir.Lstat(path.Base(name))
	}
	return t.root.Lstat(name)
}

// ReadDir implements fs.ReadDirFS.
func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	dir := t.dir(name)
	if dir == nil {
		return fs.ReadDir(t.root.FS(), name)
	}
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// ReadFile implements fs.ReadFileFS. It reads nothing that is beyond the limits.
func (t *tree) ReadFile(name string) ([]byte, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = limit(info)
	}
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(int(info.Size()) + bytes.MinRead)
	_, err = b.ReadFrom(f)
	return b.Bytes(), err
}

// Close releases the directories and the root.
func (t *tree) Close() error {
	for _, dir := range t.dirs {
		if dir != nil {
			dir.Close()
		}
	}
	return t.root.Close()
}
