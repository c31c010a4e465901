package migrations

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Load reads and checks the SQL files of fsys, whose root is the directory. All that is wrong is reported at once, as a
// *LoadError; the Set is then empty. Files that do not end in .sql, and those whose name begins with a dot, are not looked at; one
// that ends in .SQL is a problem.
//
// Several files are read at the same time. Of a directory on disk, Dir is the quickest way.
func Load(fsys fs.FS, layout Layout) (Set, error) {
	u, err := Read(fsys, layout)
	if err != nil {
		return Set{}, err
	}
	return u.Check()
}

// Unchecked is a set whose statements nobody has looked at yet. Converted to a Set it tells which versions and checksums
// there are, and so whether a database has them all: nothing else may be made of it before Check.
type Unchecked Set

// Read is Load without the check of statements, which are most of the work. An error reports what that would have found, too.
func Read(fsys fs.FS, layout Layout) (Unchecked, error) {
	var found problems
	var names []string
	for _, name := range list(fsys, &found) {
		if p := foreign(name); p != nil {
			found.add(p)
		}
		switch {
		case !strings.HasSuffix(name, ".sql"):
		case utf8.ValidString(name):
			names = append(names, name)
		default:
			found.add(&Problem{Kind: BadName, File: strings.ToValidUTF8(name, "�"), What: "its name is not UTF-8, which the ledger keeps", Remedy: "rename it"})
		}
	}
	read, done := filesOf(fsys)
	defer done()
	files := readFiles(names, read, &found)
	return assemble(layout, files, found)
}

// assemble makes a set of the files, which are in the order of their names, unless something is wrong; those without a path are left out.
func assemble(layout Layout, files []source, found problems) (Unchecked, error) {
	files = slices.DeleteFunc(files, func(f source) bool { return f.path == "" })
	if len(files) == 0 {
		if len(found) == 0 {
			found.add(&Problem{Kind: NoFiles, What: "no .sql file in the directory", Remedy: "check the path; sub-directories are not read"})
		}
		return Unchecked{}, found.err()
	}
	conv, err := choose(layout, files)
	if p, ok := err.(*Problem); ok {
		found.add(p)
		return Unchecked{}, found.err()
	} else if err != nil {
		return Unchecked{}, err
	}
	u := Unchecked{Layout: conv.layout}
	u.Migrations, u.Repeatables = join(interpret(conv, files, &found), &found)
	if len(found) > 0 {
		u.check(&found)
		return Unchecked{}, found.err()
	}
	return u, nil
}

// Check looks at every statement, and returns the set if nothing is wrong.
func (u Unchecked) Check() (Set, error) {
	var found problems
	set := u.check(&found)
	if err := found.err(); err != nil {
		return Set{}, err
	}
	return set, nil
}

func (u Unchecked) check(found *problems) Set {
	check := func(all []Migration) []Migration {
		out := slices.Clone(all)
		found.gather(len(out), func(mine iter.Seq[int], found *problems) {
			var cur splitState
			for i := range mine {
				out[i].check(&cur, found)
			}
		})
		return out
	}
	return Set{Layout: u.Layout, Migrations: check(u.Migrations), Repeatables: check(u.Repeatables)}
}

// check looks at the statements of both directions, and finds out how they are to run.
func (m *Migration) check(cur *splitState, found *problems) {
	m.Down = hollow(m.Down, cur)
	if m.Up.Path != "" { // else join has found that there is nothing to revert
		m.NoTransaction = checkUp(m.Up, m.NoTransaction, cur, found)
	}
}

// list returns the names of the directory's files, sorted, without hidden ones.
func list(fsys fs.FS, found *problems) []string {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		what := "the directory of migrations cannot be read: " + rootCause(err)
		found.add(&Problem{Kind: NoDirectory, What: what, Remedy: "check that it exists and is mounted"})
		return nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		if e.IsDir() {
			checkSubdirectory(fsys, name, found)
			continue
		}
		names = append(names, name)
	}
	return names
}

// readFiles returns the files in the order of names; nothing in the place of one that holds no text.
func readFiles(names []string, read read, found *problems) []source {
	files := make([]source, len(names))
	found.gather(len(names), func(mine iter.Seq[int], found *problems) {
		var space []byte
		for i := range mine {
			var err error
			if space, err = read(space, names[i]); err != nil {
				found.add(&Problem{Kind: Unreadable, File: names[i], What: "cannot be read: " + rootCause(err), Remedy: "check its permissions"})
				continue
			}
			files[i] = sourceOf(names[i], space, string(space), found)
		}
	})
	return files
}

// sourceOf is what is kept of a file, whose content is the same as its text; nothing if it holds none.
func sourceOf(name string, content []byte, text string, found *problems) source {
	if p := checkText(name, text); p != nil {
		found.add(p)
		return source{}
	}
	return source{path: name, text: strings.TrimPrefix(text, "\uFEFF"), checksum: checksum(content)}
}

// gather is spread for work that finds problems.
func (ps *problems) gather(n int, work func(mine iter.Seq[int], found *problems)) {
	var mu sync.Mutex
	spread(n, func(mine iter.Seq[int]) {
		var found problems
		work(mine, &found)
		mu.Lock()
		defer mu.Unlock()
		*ps = append(*ps, found...)
	})
}

// checksum is that of a file as it is on disk.
func checksum(content []byte) string {
	const prefix = "sha256:"
	var text [len(prefix) + 2*sha256.Size]byte
	sum := sha256.Sum256(content)
	hex.Encode(text[copy(text[:], prefix):], sum[:])
	return string(text[:])
}

// foreign reports a file that belongs to the directory's history but is not SQL that could be run.
func foreign(name string) *Problem {
	switch {
	case !strings.HasSuffix(name, ".sql") && strings.EqualFold(path.Ext(name), ".sql"):
		return &Problem{Kind: BadName, File: name, What: "only files whose names end in .sql, in small letters, are read", Remedy: "rename it, or delete it"}
	case strings.HasSuffix(name, ".sql.conf"):
		return &Problem{Kind: Unsupported, File: name, What: "Flyway's script configuration is not read",
			Remedy: "delete it; executeInTransaction=false becomes -- schemawave: no-transaction in the first line of the SQL file"}
	case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
		if _, _, ok := numbered(strings.TrimSuffix(name, ".go")); ok {
			return &Problem{Kind: Unsupported, File: name, What: "a migration written in Go cannot be run from its source",
				Remedy: "write it in SQL, or run the tool that it was written for with schemawave-runner exec"}
		}
	}
	return nil
}

// checkSubdirectory refuses SQL one level down: leaving it out silently would leave the schema incomplete.
func checkSubdirectory(fsys fs.FS, dir string, found *problems) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".sql") && !strings.HasPrefix(e.Name(), ".") {
			found.add(&Problem{Kind: Unsupported, File: path.Join(dir, e.Name()), What: "is in a sub-directory, which is not read",
				Remedy: "move it up, or name its directory instead"})
			return
		}
	}
}

// rootCause is the innermost error's text, without the path that a file system puts before it.
func rootCause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// interpret reads every file by the convention.
func interpret(conv convention, files []source, found *problems) []Migration {
	out := make([]Migration, len(files))
	found.gather(len(files), func(mine iter.Seq[int], found *problems) {
		for i := range mine {
			if p, ok := conv.read(files[i], found); ok {
				out[i] = p.migration(files[i], found)
			}
		}
	})
	return slices.DeleteFunc(out, func(m Migration) bool { return m.file() == "" })
}

// migration is what a file says by itself: a migration, or one without Up, which only reverts.
func (p piece) migration(src source, found *problems) Migration {
	m := Migration{Version: p.version, Name: p.name, Checksum: src.checksum, Down: p.down}
	if p.up == nil {
		return m
	}
	d := readDirectives(src, found)
	m.Up, m.NoTransaction, m.MinCompatible = *p.up, p.noTransaction || d.noTransaction, d.minCompatible
	switch {
	case m.MinCompatible == "":
	case m.Version == "":
		found.add(&Problem{Kind: BadDirective, File: src.path, What: "a repeatable migration has no version, so no other can be compatible with it",
			Remedy: "put min-compatible into the versioned migration that breaks older readers"})
	case m.MinCompatible.Compare(m.Version) > 0:
		found.add(&Problem{Kind: BadDirective, File: src.path, What: fmt.Sprintf("min-compatible %s is newer than the migration itself", m.MinCompatible),
			Remedy: "name this version or an older one"})
	}
	return m
}

// file is the path of what there is of a migration.
func (m *Migration) file() string {
	if m.Up.Path == "" && m.Down != nil {
		return m.Down.Path
	}
	return m.Up.Path
}

// join puts together what belongs to the same version, oldest first, and leaves those apart that have none.
func join(all []Migration, found *problems) (versioned, repeatables []Migration) {
	slices.SortFunc(all, func(a, b Migration) int {
		return cmp.Or(a.Version.Compare(b.Version), strings.Compare(a.file(), b.file()))
	})
	for _, m := range all {
		if m.Version == "" {
			repeatables = append(repeatables, m)
		}
	}
	versioned = all[len(repeatables):len(repeatables)]
	for _, m := range all[len(repeatables):] {
		if i := len(versioned) - 1; i >= 0 && versioned[i].Version.Compare(m.Version) == 0 {
			versioned[i].merge(m, found)
			continue
		}
		versioned = append(versioned, m)
	}
	for _, m := range versioned {
		if m.Up.Path == "" {
			found.add(&Problem{Kind: BadName, File: m.Down.Path, What: "reverts a migration that is not there",
				Remedy: "add the file that applies it, or delete this one"})
		}
	}
	if len(versioned) == 0 && len(repeatables) > 0 {
		found.add(&Problem{Kind: NoFiles, What: "every migration of the directory is repeatable, so no version says what it brings a database to",
			Remedy: "add a versioned one, V1__name.sql"})
	}
	return versioned, repeatables
}

// merge adds what another file says of the same version.
func (m *Migration) merge(other Migration, found *problems) {
	switch {
	case m.Up.Path != "" && other.Up.Path != "":
		found.add(duplicate(other.Up.Path, other.Version, m.Up.Path))
	case m.Down != nil && other.Down != nil:
		found.add(duplicate(other.Down.Path, other.Version, m.Down.Path))
	case other.Up.Path != "":
		other.Down = m.Down
		*m = other
	default:
		m.Down = other.Down
	}
}

func duplicate(file string, v Version, other string) *Problem {
	return &Problem{Kind: Duplicate, File: file, What: fmt.Sprintf("version %s is also that of %s", v, other),
		Remedy: "give one of them a new version; if it was already applied somewhere, the other"}
}

// hollow turns a script without a statement into none.
func hollow(s *Script, cur *splitState) *Script {
	if s == nil {
		return nil
	}
	empty := true
	if err := s.split(cur, func(Statement) bool { empty = false; return false }); err == nil && empty {
		return nil
	}
	return s
}
