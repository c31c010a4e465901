package migrations

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
)

// Layout names the convention by which a directory's files are named and divided. The zero value is LayoutAuto.
type Layout string

// The layouts. All but LayoutAuto are named after the tool that introduced them.
const (
	LayoutAuto          Layout = "auto"           // found out from the files
	LayoutPlain         Layout = "plain"          // 0001_create_orders.sql, nothing but SQL to apply
	LayoutGolangMigrate Layout = "golang-migrate" // 1_name.up.sql and 1_name.down.sql
	LayoutGoose         Layout = "goose"          // -- +goose Up, -- +goose Down
	LayoutDbmate        Layout = "dbmate"         // -- migrate:up, -- migrate:down
	LayoutTern          Layout = "tern"           // ---- create above / drop below ----
	LayoutSQLMigrate    Layout = "sql-migrate"    // -- +migrate Up, -- +migrate Down
	LayoutFlyway        Layout = "flyway"         // V1__name.sql, U1__name.sql, R__name.sql
)

// source is a file as it was read.
type source struct {
	path     string
	text     string // without a byte order mark
	checksum string // of all its bytes
}

// piece is what a layout makes of one file. Up or Down is nil if the file does not hold it. A repeatable one has no version.
type piece struct {
	version       Version
	name          string
	up, down      *Script
	noTransaction bool
}

// convention is one layout: how its files are recognised, and how they are read. Problems go to found; ok tells whether
// the piece can be used.
type convention struct {
	layout Layout
	marks  func(source) bool
	read   func(src source, found *problems) (p piece, ok bool)
}

// conventions lists the layouts that can be told by a mark of their own; a file without any mark is a plain one.
func conventions() []convention {
	return []convention{
		{LayoutGolangMigrate, marksGolangMigrate, readGolangMigrate},
		{LayoutFlyway, marksFlyway, readFlyway},
		{LayoutGoose, marksGoose, readGoose},
		{LayoutDbmate, marksDbmate, readDbmate},
		{LayoutSQLMigrate, marksSQLMigrate, readSQLMigrate},
		{LayoutTern, marksTern, readTern},
		{LayoutPlain, func(source) bool { return true }, readPlain},
	}
}

// Layouts lists the values a Layout can have.
func Layouts() []Layout {
	all := []Layout{LayoutAuto}
	for _, c := range conventions() {
		all = append(all, c.layout)
	}
	return all
}

// ParseLayout returns the layout of that name; the empty name is LayoutAuto.
func ParseLayout(name string) (Layout, error) {
	if name == "" {
		return LayoutAuto, nil
	}
	if all := Layouts(); !slices.Contains(all, Layout(name)) {
		return "", fmt.Errorf("unknown layout %q: want one of %v", name, all)
	}
	return Layout(name), nil
}

// choose returns the convention to read the files by.
func choose(layout Layout, files []source) (convention, error) {
	all := conventions()
	if layout != LayoutAuto && layout != "" {
		for _, c := range all {
			if c.layout == layout {
				return c, nil
			}
		}
		_, err := ParseLayout(string(layout))
		return convention{}, err
	}
	marked := make([]*convention, len(files))
	spread(len(files), func(mine iter.Seq[int]) {
		for i := range mine {
			marked[i] = &all[slices.IndexFunc(all, func(c convention) bool { return c.marks(files[i]) })]
		}
	})
	var first *convention
	firstFile := ""
	for i, f := range files {
		c := marked[i]
		switch {
		case first == nil || first.layout == LayoutPlain && c.layout == LayoutTern:
			first, firstFile = c, f.path
		case first.layout == LayoutTern && c.layout == LayoutPlain: // tern's files need no mark
		case first.layout != c.layout:
			return convention{}, &Problem{Kind: MixedLayouts, File: f.path,
				What:   fmt.Sprintf("is laid out as for %s, but %s as for %s", c.layout, firstFile, first.layout),
				Remedy: "use one layout in a directory, or name the one to read it by"}
		}
	}
	return *first, nil
}

// numbered cuts a base name like "0001_create_orders" or "1.2.3-x" into version and name.
func numbered(base string) (Version, string, bool) {
	end := 0
	for end < len(base) && (isDigit(base[end]) || end > 0 && base[end] == '.' && end+1 < len(base) && isDigit(base[end+1])) {
		end++
	}
	if end == 0 {
		return "", "", false
	}
	v, err := ParseVersion(base[:end])
	if err != nil {
		return "", "", false
	}
	rest := base[end:]
	if rest == "" {
		return v, "", true
	}
	if rest[0] != '_' && rest[0] != '-' {
		return "", "", false
	}
	return v, strings.TrimLeft(rest, "_-"), true
}

// versioned is numbered, with a problem for a name that has no version. It is to be like the example.
func versioned(src source, base, example string, found *problems) (Version, string, bool) {
	if dated.MatchString(base) {
		found.add(&Problem{Kind: BadName, File: src.path, What: "of the date at the beginning of its name only the year would be its version",
			Remedy: "rename it, with the digits of the date together, like 20240131_create_orders" + strings.TrimPrefix(src.path, base)})
		return "", "", false
	}
	v, name, ok := numbered(base)
	if !ok {
		found.add(&Problem{Kind: BadName, File: src.path, What: "its name does not begin with a version",
			Remedy: "rename it like " + example + ", or keep it outside this directory"})
	}
	return v, name, ok
}

// dated is the beginning of a name that is a date with dividers, of which only the year would be the version.
var dated = regexp.MustCompile(`^(?:19|20)\d\d[-_](?:0[1-9]|1[0-2])[-_](?:0[1-9]|[12]\d|3[01])(?:[-_]|$)`)

// named reads version and name off a file "0001_create_orders.sql".
func named(src source, found *problems) (piece, bool) {
	v, name, ok := versioned(src, strings.TrimSuffix(src.path, ".sql"), "0001_create_orders.sql", found)
	return piece{version: v, name: name}, ok
}
