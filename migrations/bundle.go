package migrations

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// A bundle is many SQL files in one: what a directory of thousands is carried in, because to mount, open and read each of them
// costs more than to run none of them. It is text, and SQL itself: a line that says what it is, and then for each file a line
// with its name and length, its bytes, and a line break.
//
//	-- schemawave bundle 1
//	-- 118 bytes of 0001_create_orders.sql
//	CREATE TABLE orders …
const (
	bundleHead = "-- schemawave bundle 1\n"
	entryHead  = "-- "
	entryMid   = " bytes of "
)

// BundleSuffix ends the name of a bundle, and CompressedSuffix after it that of one compressed by gzip (RFC 1952).
const (
	BundleSuffix     = ".bundle"
	CompressedSuffix = ".gz"
)

// AppendToBundle adds a file to a bundle, which is empty at first. The name must hold no line break.
func AppendToBundle(bundle []byte, name string, content []byte) []byte {
	if len(bundle) == 0 {
		bundle = append(bundle, bundleHead...)
	}
	bundle = strconv.AppendInt(append(bundle, entryHead...), int64(len(content)), 10)
	bundle = append(append(append(bundle, entryMid...), name...), '\n')
	return append(append(bundle, content...), '\n')
}

// ReadBundles is Read for the files within the bundles of fsys. Other files are not looked at.
func ReadBundles(fsys fs.FS, layout Layout) (Unchecked, error) {
	var found problems
	var names []string
	for _, name := range list(fsys, &found) {
		if strings.HasSuffix(strings.TrimSuffix(name, CompressedSuffix), BundleSuffix) {
			names = append(names, name)
		}
	}
	bundles := make([][]entry, len(names))
	found.gather(len(names), func(mine iter.Seq[int], found *problems) {
		for i := range mine {
			bundles[i] = unpack(fsys, names[i], found)
		}
	})
	entries := slices.Concat(bundles...)
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	files := make([]source, len(entries))
	found.gather(len(entries), func(mine iter.Seq[int], found *problems) {
		var space []byte
		for i := range mine {
			if i > 0 && entries[i-1].name == entries[i].name {
				found.add(&Problem{Kind: Duplicate, File: entries[i].name, What: "is in the bundles twice", Remedy: bundleRemedy})
				continue
			}
			space = append(space[:0], entries[i].text...)
			files[i] = sourceOf(entries[i].name, space, entries[i].text, found)
		}
	})
	return assemble(layout, files, found)
}

// entry is a file of a bundle.
type entry struct{ name, text string }

const bundleRemedy = "render the overlay again, and leave the ConfigMaps as they are rendered"

// unpack returns the files of one bundle. They share its text: there is one of it, not one for each of thousands.
func unpack(fsys fs.FS, name string, found *problems) []entry {
	bundle, err := textOf(fsys, name)
	if err != nil {
		found.add(&Problem{Kind: Unreadable, File: name, What: "cannot be read: " + rootCause(err), Remedy: "check its permissions"})
		return nil
	}
	rest, ok := strings.CutPrefix(bundle, bundleHead)
	files := make([]entry, 0, len(bundle)/128) // few are smaller
	for ok && len(rest) > 0 {
		var e entry
		if e, rest, ok = nextEntry(rest); ok {
			files = append(files, e)
		}
	}
	if !ok {
		found.add(&Problem{Kind: Unreadable, File: name, Line: lineOf(bundle, len(bundle)-len(rest)), What: "is no bundle of SQL files, or has been edited",
			Remedy: bundleRemedy})
	}
	return files
}

// nextEntry cuts the first file off a bundle.
func nextEntry(bundle string) (e entry, rest string, ok bool) {
	line, after, ended := strings.Cut(bundle, "\n")
	line, marked := strings.CutPrefix(line, entryHead)
	length, name, said := strings.Cut(line, entryMid)
	n, err := strconv.ParseUint(length, 10, 31)
	if !ended || !marked || !said || err != nil || uint64(len(after)) <= n || after[n] != '\n' {
		return entry{}, bundle, false
	}
	return entry{name, after[:n]}, after[n+1:], true
}

// textOf is the content of a file, or what is compressed in it.
func textOf(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", fmt.Errorf("open: %w", err)
	}
	defer f.Close()
	var text strings.Builder
	if !strings.HasSuffix(name, CompressedSuffix) {
		if info, err := f.Stat(); err == nil {
			text.Grow(int(info.Size()))
		}
		if _, err := io.Copy(&text, f); err != nil {
			return "", fmt.Errorf("read: %w", err)
		}
		return text.String(), nil
	}
	r, err := gzip.NewReader(f)
	if err != nil {
		return "", fmt.Errorf("gzip: %w", err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return "", fmt.Errorf("gzip: %w", err)
	}
	return string(content), nil
}
