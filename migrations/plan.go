package migrations

import (
	"fmt"
	"strings"
)

// Applied is a migration as a database's ledger remembers it; without a version, a repeatable one as it was run last.
type Applied struct {
	Version       Version
	Name          string
	Checksum      string  // empty if unknown, as for history taken over from another tool; then it is not compared; of a repeatable one, if it is to run again
	MinCompatible Version // as Migration.MinCompatible
}

// OutOfOrder says what to do with a pending migration that is older than the newest applied one, as two branches merged
// in the other order produce it. The zero value refuses.
type OutOfOrder string

// The policies.
const (
	OutOfOrderRefuse OutOfOrder = "refuse" // an *OutOfOrderError
	OutOfOrderApply  OutOfOrder = "apply"  // apply it now, after newer ones
	OutOfOrderSkip   OutOfOrder = "skip"   // leave it out
)

// Policy bounds what a plan may do.
type Policy struct {
	OutOfOrder OutOfOrder
}

// Plan is what remains to be done.
type Plan struct {
	Pending       []Migration // oldest first
	Repeat        []Migration // repeatable ones that are new or have changed; none if the database is ahead
	Skipped       []Migration // left out by OutOfOrderSkip
	From          Version     // newest applied version; empty for a fresh database
	Ahead         []Version   // applied versions newer than everything in the set, as after a rollback to an older image
	MinCompatible Version     // of what is applied, before the plan
}

// Current reports whether there is nothing to do.
func (p Plan) Current() bool { return len(p.Pending)+len(p.Repeat) == 0 }

// Plan compares the set with what is applied. All deviations are reported at once, in a *HistoryError that holds an
// *EditedError, *MissingFileError or *OutOfOrderError for each. A ledger that is ahead of the set is no error.
func (s Set) Plan(applied []Applied, policy Policy) (Plan, error) {
	plan := Plan{}
	known := make(map[Version]Applied, len(applied))
	repeated := map[string]string{} // checksum by name
	for _, a := range applied {
		if a.Version == "" {
			repeated[a.Name] = a.Checksum
			continue
		}
		known[a.Version.key()] = a
		if a.Version.Compare(plan.From) > 0 {
			plan.From = a.Version
		}
		if a.MinCompatible.Compare(plan.MinCompatible) > 0 {
			plan.MinCompatible = a.MinCompatible
		}
	}
	var errs []error
	inSet := make(map[Version]bool, len(s.Migrations))
	for _, m := range s.Migrations {
		inSet[m.Version.key()] = true
		a, done := known[m.Version.key()]
		switch {
		case done && a.Checksum != "" && a.Checksum != m.Checksum:
			errs = append(errs, &EditedError{File: m.Up.Path, Version: m.Version, Applied: a.Checksum, Found: m.Checksum})
		case done:
		case m.Version.Compare(plan.From) > 0:
			plan.Pending = append(plan.Pending, m)
		case policy.OutOfOrder == OutOfOrderApply:
			plan.Pending = append(plan.Pending, m)
		case policy.OutOfOrder == OutOfOrderSkip:
			plan.Skipped = append(plan.Skipped, m)
		default:
			errs = append(errs, &OutOfOrderError{File: m.Up.Path, Version: m.Version, Newest: plan.From})
		}
	}
	latest := s.Latest()
	for _, a := range applied {
		switch {
		case a.Version == "" || inSet[a.Version.key()]:
		case a.Version.Compare(latest) > 0:
			plan.Ahead = append(plan.Ahead, a.Version)
		default:
			errs = append(errs, &MissingFileError{Version: a.Version, Name: a.Name})
		}
	}
	if len(errs) > 0 {
		return Plan{}, &HistoryError{Deviations: errs}
	}
	for _, m := range s.Repeatables {
		if repeated[m.Name] != m.Checksum && len(plan.Ahead) == 0 {
			plan.Repeat = append(plan.Repeat, m)
		}
	}
	return plan, nil
}

// HistoryError is every deviation of the files from what was applied, in the order of versions within each sort.
type HistoryError struct {
	Deviations []error
}

// Error has one line for each deviation, with its remedy.
func (e *HistoryError) Error() string {
	lines := make([]string, len(e.Deviations))
	for i, d := range e.Deviations {
		lines[i] = d.Error()
		if r, ok := d.(interface{ Remedy() string }); ok {
			lines[i] += " (" + r.Remedy() + ")"
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a deviation.
func (e *HistoryError) Unwrap() []error { return e.Deviations }

// ExitCode is ExitRejected.
func (e *HistoryError) ExitCode() ExitCode { return ExitRejected }

// EditedError says that a file changed after it had been applied.
type EditedError struct {
	File           string
	Version        Version
	Applied, Found string // checksums
}

// Error names the file and both checksums, shortened.
func (e *EditedError) Error() string {
	return fmt.Sprintf("%s: was edited after version %s had been applied: %s then, %s now", e.File, e.Version, short(e.Applied), short(e.Found))
}

// Remedy says how to go on.
func (e *EditedError) Remedy() string {
	return "restore the file as it was, and put the change into a new migration"
}

// MissingFileError says that an applied migration has no file any more.
type MissingFileError struct {
	Version Version
	Name    string // as recorded; may be empty
}

// Error names the version.
func (e *MissingFileError) Error() string {
	name := string(e.Version)
	if e.Name != "" {
		name += " (" + e.Name + ")"
	}
	return fmt.Sprintf("version %s was applied, but its file is gone", name)
}

// Remedy says how to go on.
func (e *MissingFileError) Remedy() string {
	return "restore the file from git; to undo a migration, add a new one that does"
}

// OutOfOrderError says that a pending migration is older than one already applied.
type OutOfOrderError struct {
	File    string
	Version Version
	Newest  Version // applied
}

// Error names both versions.
func (e *OutOfOrderError) Error() string {
	return fmt.Sprintf("%s: version %s comes late: %s is already applied", e.File, e.Version, e.Newest)
}

// Remedy says how to go on.
func (e *OutOfOrderError) Remedy() string {
	return fmt.Sprintf("rename the file to a version above %s, or set the policy outOfOrder to apply or skip", e.Newest)
}

// short cuts a checksum to what tells it apart.
func short(checksum string) string {
	if len(checksum) > 15 {
		return checksum[:15]
	}
	return checksum
}
