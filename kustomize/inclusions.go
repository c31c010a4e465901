package kustomize

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What a build may load. Kustomize loads whatever is included as many times as it is: of thirty components of which each includes the
// next one twice, the last one a billion times. It takes some milliseconds for a kustomization.
const (
	maxKustomizations = 2000
	maxLoaded         = 64 << 20 // bytes, of a file at least leastLoaded
	leastLoaded       = 4 << 10
)

// weight is what a build loads for a kustomization and all that it includes.
type weight struct{ kustomizations, bytes int }

// excess says what is too much; "" if nothing is.
func (w weight) excess() string {
	switch {
	case w.kustomizations > maxKustomizations:
		return fmt.Sprintf("a build would load more than %d kustomizations, each as many times as it is included", maxKustomizations)
	case w.bytes > maxLoaded:
		return fmt.Sprintf("a build would load more than %d MiB, each file as many times as it is included and as %d KiB at least", maxLoaded>>20, leastLoaded>>10)
	}
	return ""
}

// inclusions weighs kustomizations without a build, each once.
type inclusions struct {
	repository *repository
	generated  string // the directory of what is not weighed: absolute
	known      map[string]weight
	files      []string // that were weighed: absolute
}

// bearable refuses an overlay of which a build would load too much. What is remote, or outside of the repository, is not weighed.
func (w *work) bearable() error {
	i := inclusions{w.repository, w.abs(entry), map[string]weight{}, nil}
	_, err := i.of(w.abs(""))
	return err
}

// of weighs the kustomization of a directory, which is given without symbolic links. One that is included by itself weighs nothing
// there: kustomize refuses it.
func (i *inclusions) of(dir string) (weight, error) {
	if known, is := i.known[dir]; is {
		return known, nil
	}
	if len(i.known) > maxKustomizations {
		return weight{kustomizations: maxKustomizations + 1}, nil // of which many are still to be weighed
	}
	i.known[dir] = weight{}
	entries, _ := os.ReadDir(dir) // what cannot be read is for kustomize to say
	name := kustomizationFile(entries)
	total := weight{1, leastLoaded}
	content, err := readFile(os.DirFS(dir), name)
	if name == "" || err != nil {
		i.known[dir] = total
		return total, nil
	}
	total.bytes = max(total.bytes, len(content))
	for field, n := range paths(content) {
		w, err := i.named(dir, n.Value)
		if err != nil {
			return weight{}, err
		}
		total.kustomizations += w.kustomizations
		total.bytes += w.bytes
		if what := total.excess(); what != "" {
			return weight{}, Problems{{i.relative(filepath.Join(dir, name)), n.Line, fmt.Sprintf("%s: %s: %s", field, cut(n.Value), what), "include it once, or divide the overlay"}}
		}
	}
	i.known[dir] = total
	return total, nil
}

// named weighs what a path in dir means, which may be that of a generator's file, after a name for it. What is no path weighs nothing.
func (i *inclusions) named(dir, name string) (weight, error) {
	info, at := i.found(dir, name)
	if _, after, ok := strings.Cut(name, "="); ok && info == nil {
		info, at = i.found(dir, after)
	}
	switch {
	case info == nil || at == i.generated || strings.HasPrefix(at, i.generated+string(filepath.Separator)):
		return weight{}, nil
	case info.IsDir():
		real, err := filepath.EvalSymlinks(at)
		if err != nil {
			return weight{}, nil
		}
		return i.of(real)
	}
	i.files = append(i.files, at)
	// What is larger is refused where it is read.
	return weight{0, min(max(leastLoaded, int(info.Size())), maxFile)}, nil
}

// found looks a path up; nil if nothing of the repository is there.
func (i *inclusions) found(dir, name string) (fs.FileInfo, string) {
	at := absolute(dir, name)
	if i.repository.outside(at) {
		return nil, at
	}
	info, err := os.Stat(at)
	if err != nil {
		return nil, at
	}
	return info, at
}

// absolute is what a path means in a directory.
func absolute(dir, name string) string {
	at := filepath.FromSlash(name)
	if filepath.IsAbs(at) {
		return filepath.Clean(at)
	}
	return filepath.Join(dir, at)
}

// relative names a file as problems do, by its place in the repository.
func (i *inclusions) relative(file string) string {
	return strings.TrimPrefix(filepath.ToSlash(file), filepath.ToSlash(i.repository.dir)+"/")
}
