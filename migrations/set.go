package migrations

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Digest identifies the set, by the versions and the bytes of its files and nothing else: it is the HistoryDigest, or, if
// there are repeatable migrations, that of the HistoryDigest and one line "ID checksum" for each of them.
func (s Set) Digest() string {
	digest := s.HistoryDigest()
	if len(s.Repeatables) == 0 {
		return digest
	}
	h := sha256.New()
	io.WriteString(h, digest+"\n") // a hash never fails
	for _, m := range s.Repeatables {
		io.WriteString(h, m.ID()+" "+m.Checksum+"\n")
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// HistoryDigest is that of a Digester over the versioned migrations, and so the one that a ledger shows once exactly these
// are applied.
func (s Set) HistoryDigest() string {
	h := sha256.New()
	text := make([]byte, 0, 8<<10)
	for _, m := range s.Migrations {
		if m.Checksum == "" {
			return ""
		}
		if text = appendLine(text, m.Version, m.Checksum); len(text) > cap(text)/2 {
			h.Write(text) // a hash never fails
			text = text[:0]
		}
	}
	h.Write(text)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// All returns the versioned migrations and, after them, the repeatable ones: the order in which they run.
func (s Set) All() []Migration { return slices.Concat(s.Migrations, s.Repeatables) }

// Files returns the paths of the files that the set was read from, in the order of All; one that reverts follows the one it
// belongs to.
func (s Set) Files() []string {
	var files []string
	for _, m := range s.All() {
		files = append(files, m.Up.Path)
		if m.Down != nil && m.Down.Path != m.Up.Path {
			files = append(files, m.Down.Path)
		}
	}
	return files
}

// Latest is the newest version; empty for an empty set.
func (s Set) Latest() Version {
	if len(s.Migrations) == 0 {
		return ""
	}
	return s.Migrations[len(s.Migrations)-1].Version
}

// MinCompatible is the oldest schema version whose readers work with the set fully applied: the newest that any of its
// migrations names. Empty if none does.
func (s Set) MinCompatible() Version {
	var v Version
	for _, m := range s.Migrations {
		if m.MinCompatible.Compare(v) > 0 {
			v = m.MinCompatible
		}
	}
	return v
}

// Upto returns the migrations up to and with target. "latest" and "" mean all. A version that is not in the set is an
// *UnknownVersionError, so that a misspelt target does not silently stop short. Repeatable migrations speak of the newest
// schema: where the target is an older version, they are left out.
func (s Set) Upto(target string) (Set, error) {
	if target == "" || target == "latest" {
		return s, nil
	}
	v, err := ParseVersion(target)
	if err != nil {
		return Set{}, &UnknownVersionError{Target: target, Reason: err.Error()}
	}
	for i, m := range s.Migrations {
		switch c := m.Version.Compare(v); {
		case c == 0 && i == len(s.Migrations)-1:
			return s, nil
		case c == 0:
			return Set{Layout: s.Layout, Migrations: s.Migrations[:i+1]}, nil
		case c > 0:
			return Set{}, &UnknownVersionError{Target: target, Nearest: s.around(i)}
		}
	}
	return Set{}, &UnknownVersionError{Target: target, Nearest: s.around(len(s.Migrations))}
}

// around lists up to two versions on either side of index i.
func (s Set) around(i int) []Version {
	var near []Version
	for _, m := range s.Migrations[max(0, i-2):min(len(s.Migrations), i+2)] {
		near = append(near, m.Version)
	}
	return near
}

// UnknownVersionError says that the target is not a version of the set.
type UnknownVersionError struct {
	Target  string
	Reason  string    // why Target is no version at all; empty if it is one
	Nearest []Version // of the set, around the place where Target would be
}

// Error names the nearest versions.
func (e *UnknownVersionError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("target %q: %s", e.Target, e.Reason)
	}
	near := make([]string, len(e.Nearest))
	for i, v := range e.Nearest {
		near[i] = string(v)
	}
	return fmt.Sprintf("target %s is not among the migrations (nearest: %s)", e.Target, strings.Join(near, ", "))
}

// Remedy says how to go on.
func (e *UnknownVersionError) Remedy() string {
	return "correct the target, or add the migration that it means"
}

// ExitCode is ExitConfig.
func (e *UnknownVersionError) ExitCode() ExitCode { return ExitConfig }
