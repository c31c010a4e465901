//go:build unix

package migrations

import (
	"io/fs"
	"slices"
	"syscall"
)

// slurp appends a file's content to space by open, read, read and close. An *os.File takes six calls more.
func slurp(space []byte, path string) ([]byte, error) {
	fd, err := again(func() (int, error) { return syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) })
	if err != nil {
		return space, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	for {
		space = slices.Grow(space, 4096)
		n, err := again(func() (int, error) { return syscall.Read(fd, space[len(space):cap(space)]) })
		if err != nil {
			return space, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return space, nil
		}
		space = space[:len(space)+n]
	}
}

// again repeats a system call that a signal has interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != syscall.EINTR {
			return n, err
		}
	}
}
