package migrations

import (
	"bytes"
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
	content := map[string][]byte{}
	names = names[:0]
	for _, e := range slices.Concat(bundles...) {
		if _, taken := content[e.name]; taken {
			found.add(&Problem{Kind: Duplicate, File: e.name, What: "is in the bundles twice", Remedy: bundleRemedy})
			continue
		}
		content[e.name] = e.content
		names = append(names, e.name)
	}
	slices.Sort(names)
	files := readFiles(names, func(_ []byte, name string) ([]byte, error) { return content[name], nil }, &found)
	return assemble(layout, files, found)
}

// entry is a file of a bundle.
type entry struct {
	name    string
	content []byte
}

const bundleRemedy = "render the overlay again, and leave the ConfigMaps as they are rendered"

// unpack returns the files of one bundle.
func unpack(fsys fs.FS, name string, found *problems) []entry {
	bundle, err := fs.ReadFile(fsys, name)
	if err == nil && strings.HasSuffix(name, CompressedSuffix) {
		bundle, err = inflate(bundle)
	}
	if err != nil {
		found.add(&Problem{Kind: Unreadable, File: name, What: "cannot be read: " + rootCause(err), Remedy: "check its permissions"})
		return nil
	}
	rest, ok := bytes.CutPrefix(bundle, []byte(bundleHead))
	var files []entry
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
func nextEntry(bundle []byte) (e entry, rest []byte, ok bool) {
	line, after, ended := bytes.Cut(bundle, []byte{'\n'})
	line, marked := bytes.CutPrefix(line, []byte(entryHead))
	length, name, said := bytes.Cut(line, []byte(entryMid))
	n, err := strconv.ParseUint(string(length), 10, 31)
	if !ended || !marked || !said || err != nil || uint64(len(after)) <= n || after[n] != '\n' {
		return entry{}, bundle, false
	}
	return entry{string(name), after[:n]}, after[n+1:], true
}

func inflate(compressed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return text, nil
}
