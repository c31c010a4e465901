package events

import "fmt"

// Verdict answers whether a state gives a reader the schema it requires.
type Verdict struct {
	Answer  Answer
	Reason  string   // for a person: what is so, and what to do where there is something to do
	Failure *Failure // why the attempt failed; set only if Answer is AttemptFailed, and nil if nobody reported it
}

// Answer is the verdict in a word. The zero value is NotYet.
type Answer int

// The answers.
const (
	// NotYet: the required version is not there; waiting may help.
	NotYet Answer = iota
	// Satisfied: the required version or a newer one is proven to be there, and still serves readers of the required one.
	Satisfied
	// Incompatible: the schema no longer serves readers of the required version. Waiting is pointless: the reader is too old.
	Incompatible
	// AttemptFailed: the newest attempt at the required version or a newer one failed. Waiting helps only if it is tried again.
	AttemptFailed
)

// String names the answer as logs and reports do.
func (a Answer) String() string {
	switch a {
	case NotYet:
		return "not ready"
	case Satisfied:
		return "ready"
	case Incompatible:
		return "incompatible"
	case AttemptFailed:
		return "failed"
	}
	return fmt.Sprintf("Answer(%d)", int(a))
}

// Satisfies judges s for a reader that requires a version: ready.version ≥ required and required ≥ ready.minCompatible,
// in the order of CompareVersions. The empty required version asks for any proven version, whatever it serves.
//
// A failed attempt below the required version is not held against it: the attempt that counts is still to come. Nor is one at a
// version that nobody knows, unless any version will do: it may be of an older image, whose Job can run again after the reader
// began to wait, so neither its time nor its place as the newest one tells what it was to reach. An obstacle never ends the wait:
// once it is out of the way, the attempt is still to come.
func (s State) Satisfies(required string) Verdict {
	if r := s.Ready; r != nil {
		if required != "" && CompareVersions(required, r.MinCompatible) < 0 {
			return Verdict{Answer: Incompatible, Reason: fmt.Sprintf(
				"%s is at %s and serves readers of %s or newer, not of %s: update the reader", s.Name(), r.Version, r.MinCompatible, required)}
		}
		if CompareVersions(r.Version, required) >= 0 {
			return Verdict{Answer: Satisfied, Reason: fmt.Sprintf("%s is at %s", s.Name(), r.Version)}
		}
	}
	a := s.LastAttempt
	failed := a != nil && a.Outcome == OutcomeFailed
	v := Verdict{Reason: s.standing(required)}
	if failed {
		v.Reason += ", and " + a.failed()
	}
	if o := s.Obstacle; o != nil {
		v.Reason += ", and " + o.Reason
	}
	if failed && CompareVersions(a.Version, required) >= 0 {
		v.Answer, v.Failure = AttemptFailed, a.Failure
	}
	return v
}

// Name is environment/database[/tenant], for people.
func (s State) Name() string {
	return Target{Environment: s.Environment, Database: s.Database, Tenant: s.Tenant}.String()
}

func (s State) standing(required string) string {
	switch {
	case s.Ready == nil:
		return s.Name() + " has no proven migration yet"
	default:
		return fmt.Sprintf("%s is at %s, not yet at %s", s.Name(), s.Ready.Version, required)
	}
}

func (a *Attempt) failed() string {
	what := "the last attempt failed"
	if a.Version != "" {
		what = fmt.Sprintf("the last attempt at %s failed", a.Version)
	}
	switch f := a.Failure; {
	case f == nil:
		return what + " without a report: see the logs of its Job"
	case f.Permanent:
		return what + " for good: " + f.String()
	default:
		return what + " and may be retried: " + f.String()
	}
}

// String reads as a path to the fault: file:line:column: message (SQLSTATE): hint.
func (f *Failure) String() string {
	at := ""
	if f.File != "" {
		at = f.File + ":"
		if f.Line > 0 {
			at += fmt.Sprintf("%d:", f.Line)
			if f.Column > 0 {
				at += fmt.Sprintf("%d:", f.Column)
			}
		}
		at += " "
	}
	t := at + f.Message
	if f.SQLState != "" {
		t += " (SQLSTATE " + f.SQLState + ")"
	}
	if f.Hint != "" {
		t += ": " + f.Hint
	}
	return t
}
