package kustomize

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
)

// Write applies the result: all of it or, on an error, nothing. Every file is first written beside its place and then
// renamed into it, so that nobody ever reads half a file; and at no moment does the kustomization list what is not there.
func (r Result) Write() error {
	if !r.Changed() {
		return nil
	}
	root, err := os.OpenRoot(r.Root)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	defer root.Close()
	w := writer{Root: root}
	if err := w.write(r.ordered()); err != nil {
		return fmt.Errorf("write: %w", errors.Join(err, w.undo()))
	}
	return nil
}

// ordered puts what is listed before what lists it, and removes in the opposite order: new and changed objects, the
// generated kustomization, the overlay's own, then what is no longer listed.
func (r Result) ordered() []File {
	rank := func(f File) int {
		switch {
		case f.After == nil:
			return 3
		case path.Base(path.Dir(f.Path)) != entry:
			return 2
		case path.Base(f.Path) == generatedKustomization:
			return 1
		}
		return 0
	}
	files := slices.Clone(r.Files)
	slices.SortStableFunc(files, func(a, b File) int { return rank(a) - rank(b) })
	return files
}

// writer replaces files and remembers how to take it back.
type writer struct {
	*os.Root
	staged []string // temporary files not yet in their place
	done   []File   // files replaced or removed
	made   []string // directories
}

func (w *writer) write(files []File) error {
	var temporary []string
	for _, f := range files {
		name, err := w.stage(f)
		if err != nil {
			return err
		}
		temporary = append(temporary, name)
	}
	for i, f := range files {
		if err := w.replace(f, temporary[i]); err != nil {
			return err
		}
		w.done = append(w.done, f)
	}
	for _, f := range files {
		if f.After == nil {
			_ = w.Remove(path.Dir(f.Path)) // it goes with its last file and refuses before
		}
	}
	return nil
}

// stage writes the new content beside the file, with its permissions, and returns where; "" for a file to be removed.
func (w *writer) stage(f File) (string, error) {
	if f.After == nil {
		return "", nil
	}
	mode := fs.FileMode(0o644)
	if info, err := w.Stat(f.Path); err == nil {
		mode = info.Mode().Perm()
	}
	dir := path.Dir(f.Path)
	if err := w.Mkdir(dir, 0o755); err == nil {
		w.made = append(w.made, dir)
	} else if !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	name := path.Join(dir, "."+path.Base(f.Path)+"."+rand.Text())
	out, err := w.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	w.staged = append(w.staged, name)
	_, err = out.Write(f.After)
	return name, errors.Join(err, out.Close())
}

func (w *writer) replace(f File, temporary string) error {
	if f.After == nil {
		if err := w.Remove(f.Path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return w.Rename(temporary, f.Path)
}

// undo puts back what was there.
func (w *writer) undo() error {
	var errs []error
	for _, name := range w.staged {
		if err := w.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, f := range slices.Backward(w.done) {
		if f.Before == nil {
			errs = append(errs, w.Remove(f.Path))
		} else {
			errs = append(errs, w.WriteFile(f.Path, f.Before, 0o644))
		}
	}
	for _, dir := range slices.Backward(w.made) {
		errs = append(errs, w.Remove(dir))
	}
	return errors.Join(errs...)
}
