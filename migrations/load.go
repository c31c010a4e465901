package migrations

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Load reads and checks the SQL files of fsys, whose root is the directory. All that is wrong is reported at once, as a
// *LoadError; the Set is then empty. Files that do not end in .sql, and those whose name begins with a dot, are not looked at.
func Load(fsys fs.FS, layout Layout) (Set, error) {
	var found problems
	files := readFiles(fsys, &found)
	if len(files) == 0 {
		if len(found) == 0 {
			found.add(&Problem{Kind: NoFiles, What: "no .sql file in the directory", Remedy: "check the path; sub-directories are not read"})
		}
		return Set{}, found.err()
	}
	conv, err := choose(layout, files)
	if p, ok := err.(*Problem); ok {
		found.add(p)
		return Set{}, found.err()
	} else if err != nil {
		return Set{}, err
	}
	set := Set{Layout: conv.layout}
	set.Migrations, set.Repeatables = assemble(conv, files, &found)
	if err := found.err(); err != nil {
		return Set{}, err
	}
	return set, nil
}

// readFiles returns the readable SQL files in the order of their names.
func readFiles(fsys fs.FS, found *problems) []source {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		what := "the directory of migrations cannot be read: " + rootCause(err)
		found.add(&Problem{Kind: NoDirectory, What: what, Remedy: "check that it exists and is mounted"})
		return nil
	}
	var files []source
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		if e.IsDir() {
			checkSubdirectory(fsys, name, found)
			continue
		}
		if p := foreign(name); p != nil {
			found.add(p)
		}
		if !strings.HasSuffix(name, ".sql") {
			continue
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			found.add(&Problem{Kind: Unreadable, File: name, What: "cannot be read: " + rootCause(err), Remedy: "check its permissions"})
			continue
		}
		if p := checkText(name, text); p != nil {
			found.add(p)
			continue
		}
		files = append(files, source{path: name, text: string(text)})
	}
	return files
}

// foreign reports a file that belongs to the directory's history but is not SQL that could be run.
func foreign(name string) *Problem {
	switch {
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

// assemble reads every file by the convention and joins what belongs to the same version, oldest first.
func assemble(conv convention, files []source, found *problems) (versioned, repeatables []Migration) {
	byVersion := map[Version]*Migration{}
	var order []*Migration
	downs := map[Version]*Script{}
	for _, src := range files {
		checksum := sha256.Sum256([]byte(src.text))
		src.text = strings.TrimPrefix(src.text, "\uFEFF")
		p, ok := conv.read(src, found)
		if !ok {
			continue
		}
		if p.up == nil {
			addDown(downs, p, found)
			continue
		}
		if other := byVersion[p.version.key()]; other != nil && p.version != "" {
			found.add(duplicate(src.path, p.version, other.Up.Path))
			continue
		}
		d := readDirectives(src, found)
		m := &Migration{Version: p.version, Name: p.name, Checksum: "sha256:" + hex.EncodeToString(checksum[:]),
			Up: *p.up, Down: hollow(p.down), MinCompatible: d.minCompatible}
		m.NoTransaction = checkUp(m.Up, p.noTransaction || d.noTransaction, found)
		if p.version == "" {
			repeatables = append(repeatables, *m)
			if m.MinCompatible != "" {
				found.add(&Problem{Kind: BadDirective, File: src.path, What: "a repeatable migration has no version, so no other can be compatible with it",
					Remedy: "put min-compatible into the versioned migration that breaks older readers"})
			}
			continue
		}
		if m.MinCompatible.Compare(m.Version) > 0 {
			found.add(&Problem{Kind: BadDirective, File: src.path, What: fmt.Sprintf("min-compatible %s is newer than the migration itself", m.MinCompatible),
				Remedy: "name this version or an older one"})
		}
		byVersion[p.version.key()] = m
		order = append(order, m)
	}
	for v, down := range downs {
		m := byVersion[v]
		if m == nil {
			found.add(&Problem{Kind: BadName, File: down.Path, What: "reverts a migration that is not there",
				Remedy: "add the file that applies it, or delete this one"})
			continue
		}
		m.Down = hollow(down)
	}
	slices.SortFunc(order, func(a, b *Migration) int {
		return cmp.Or(a.Version.Compare(b.Version), strings.Compare(a.Up.Path, b.Up.Path))
	})
	versioned = make([]Migration, len(order))
	for i, m := range order {
		versioned[i] = *m
	}
	if len(versioned) == 0 && len(repeatables) > 0 {
		found.add(&Problem{Kind: NoFiles, What: "every migration of the directory is repeatable, so no version says what it brings a database to",
			Remedy: "add a versioned one, V1__name.sql"})
	}
	return versioned, repeatables
}

// addDown keeps a file that only reverts until its counterpart is known.
func addDown(downs map[Version]*Script, p piece, found *problems) {
	if other := downs[p.version.key()]; other != nil {
		found.add(duplicate(p.down.Path, p.version, other.Path))
		return
	}
	downs[p.version.key()] = p.down
}

func duplicate(file string, v Version, other string) *Problem {
	return &Problem{Kind: Duplicate, File: file, What: fmt.Sprintf("version %s is also that of %s", v, other),
		Remedy: "give one of them a new version; if it was already applied somewhere, the other"}
}

// hollow turns a script without a statement into none.
func hollow(s *Script) *Script {
	if s == nil {
		return nil
	}
	if st, err := s.Split(); err == nil && len(st) == 0 {
		return nil
	}
	return s
}
