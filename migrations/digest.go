package migrations

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"slices"
)

// Digester computes the digest of a growing history: "sha256:" and the hex digest of one line "version checksum" for each
// migration, in the order of versions. The zero value is the empty history.
type Digester struct {
	known   []Applied // in the order of versions
	running hash.Hash // over known
	unknown bool      // a checksum is missing
}

// Add adds a migration. In the order of versions this takes constant time.
func (d *Digester) Add(v Version, checksum string) {
	a := Applied{Version: v, Checksum: checksum}
	at := len(d.known)
	late := at > 0 && d.known[at-1].Version.Compare(v) > 0
	if late {
		at, _ = slices.BinarySearchFunc(d.known, a, func(x, y Applied) int { return x.Version.Compare(y.Version) })
	}
	d.known = slices.Insert(d.known, at, a)
	d.unknown = d.unknown || checksum == ""
	if d.running == nil || late {
		d.running = sha256.New()
		at = 0
	}
	for _, a := range d.known[at:] {
		io.WriteString(d.running, string(a.Version)+" "+a.Checksum+"\n") // a hash never fails
	}
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
