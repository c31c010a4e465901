package migrations

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
)

// Digester computes the digest of a growing history: "sha256:" and the hex digest of one line "version checksum" for each
// migration, in the order of versions, each in its shortest spelling ("1", not "1.0"), so that a file whose name spells its version in
// another way is the same migration. The zero value is the empty history.
type Digester struct {
	known   []digested // in the order of versions
	running hash.Hash  // over known
	line    []byte     // space for one line
	unknown bool       // a checksum is missing
}

// digested is what a digest knows of a migration.
type digested struct {
	version  Version
	checksum string
}

// Add adds a migration. In the order of versions this takes constant time.
func (d *Digester) Add(v Version, checksum string) {
	at := len(d.known)
	late := at > 0 && d.known[at-1].version.Compare(v) > 0
	if late {
		at, _ = slices.BinarySearchFunc(d.known, v, func(x digested, v Version) int { return x.version.Compare(v) })
	}
	d.known = slices.Insert(d.known, at, digested{v, checksum})
	d.unknown = d.unknown || checksum == ""
	if d.running == nil || late {
		d.running = sha256.New()
		at = 0
	}
	for _, a := range d.known[at:] {
		d.line = appendLine(d.line[:0], a.version, a.checksum)
		d.running.Write(d.line) // a hash never fails
	}
}

func appendLine(text []byte, v Version, checksum string) []byte {
	return append(append(append(append(text, v.key()...), ' '), checksum...), '\n')
}

// Sum returns the digest; empty if a checksum is not known.
func (d *Digester) Sum() string {
	switch {
	case d.unknown:
		return ""
	case d.running == nil:
		d.running = sha256.New()
	}
	return "sha256:" + hex.EncodeToString(d.running.Sum(nil))
}
