package migrations

import "fmt"

// Outline is what tells a set without its files: enough to ask a database whether the set is applied.
type Outline struct {
	Version       Version           // newest version of the set
	HistoryDigest string            // as Set.HistoryDigest
	Repeatables   map[string]string // checksums of the repeatable ones, by name; nil if there are none
}

// Outline returns the set's.
func (s Set) Outline() Outline {
	o := Outline{Version: s.Latest(), HistoryDigest: s.HistoryDigest()}
	for _, m := range s.Repeatables {
		if o.Repeatables == nil {
			o.Repeatables = map[string]string{}
		}
		o.Repeatables[m.Name] = m.Checksum
	}
	return o
}

// Absent says what of the set is not among what is applied; empty if nothing is missing. It agrees with what Set.Plan makes of
// the set itself: whatever is newer is no matter, as after a rollback to an older image, nor are the repeatable ones then, which
// speak of that newer schema. A checksum that is unknown is not compared.
//
// Of migrations that OutOfOrderSkip leaves out it cannot know, and misses them.
func (o Outline) Absent(applied []Applied) string {
	var newest Version
	var upTo Digester
	there := false
	repeated := map[string]string{}
	for _, a := range applied {
		if a.Version == "" {
			repeated[a.Name] = a.Checksum
			continue
		}
		if a.Version.Compare(newest) > 0 {
			newest = a.Version
		}
		if a.Version.Compare(o.Version) <= 0 {
			upTo.Add(a.Version, a.Checksum)
			there = there || a.Version.Compare(o.Version) == 0
		}
	}
	switch digest := upTo.Sum(); {
	case newest == "" && o.Version != "":
		return "nothing is applied"
	case !there && o.Version != "":
		return fmt.Sprintf("version %s is not applied, the newest is %s", o.Version, newest)
	case digest != "" && digest != o.HistoryDigest:
		return fmt.Sprintf("what is applied up to version %s is not the same set of migrations", o.Version)
	case newest.Compare(o.Version) > 0:
		return ""
	}
	return o.absentRepeatable(repeated)
}

// absentRepeatable names a repeatable migration that is not in force as the set has it; empty if there is none.
func (o Outline) absentRepeatable(repeated map[string]string) string {
	first := ""
	for name, checksum := range o.Repeatables {
		if repeated[name] != checksum && (first == "" || name < first) {
			first = name
		}
	}
	if first == "" {
		return ""
	}
	return fmt.Sprintf("the repeatable migration %s has not run as it is now", first)
}
