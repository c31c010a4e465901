package migrations

import (
	"io/fs"
	"os"
)

// Dir is the directory at a path, to be loaded. It is os.DirFS, except that on Linux Load reads its files with as few system
// calls as there can be: of many small files those are most of the time that loading takes.
func Dir(path string) fs.FS { return directory{os.DirFS(path), path} }

type directory struct {
	fs.FS
	path string
}

// read returns a file's content, in space if that is large enough.
type read func(space []byte, name string) ([]byte, error)

// filesOf returns how to read files of fsys, and what to call at the end.
func filesOf(fsys fs.FS) (read, func()) {
	if d, ok := fsys.(directory); ok {
		if read, done, err := d.files(); err == nil {
			return read, done
		}
	}
	return func(_ []byte, name string) ([]byte, error) { return fs.ReadFile(fsys, name) }, func() {}
}
