package migrations

import (
	"io/fs"
	"os"
)

// Dir is the directory at a path, to be loaded. It is os.DirFS, except that Load reads its files with as few system calls as
// there can be: of many small files those are most of the time that loading takes.
func Dir(path string) fs.FS { return directory{os.DirFS(path), path} }

type directory struct {
	fs.FS
	path string
}

// readInto reads a file into space, which grows if that is too small.
func readInto(space []byte, fsys fs.FS, name string) ([]byte, error) {
	if d, ok := fsys.(directory); ok {
		return slurp(space[:0], d.path+"/"+name)
	}
	return fs.ReadFile(fsys, name)
}
