package environment

import (
	"errors"
	"fmt"
)

// FaultReason classifies why a pass failed; it is the value of a metric's label.
type FaultReason string

// Why a pass fails. Each is tried again, with growing pauses, and heals when its cause is gone.
const (
	FaultUnreachable   FaultReason = "unreachable"   // the host does not answer, or not sensibly
	FaultAuth          FaultReason = "auth"          // it refuses the credentials
	FaultRejected      FaultReason = "rejected"      // it refuses the push: a protected branch, a hook
	FaultContended     FaultReason = "contended"     // others pushed during every try
	FaultConfiguration FaultReason = "configuration" // the branch is missing, a credentials file cannot be read
	FaultInternal      FaultReason = "internal"      // anything else: a full disk, a damaged clone
)

// Fault is an error with its class.
type Fault struct {
	Reason FaultReason
	Err    error
}

func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// reasonOf classifies any error of a pass.
func reasonOf(err error) FaultReason {
	var f *Fault
	if errors.As(err, &f) {
		return f.Reason
	}
	return FaultInternal
}

// configFault is what only a person or a Secret can put right.
func configFault(format string, args ...any) error {
	return &Fault{FaultConfiguration, fmt.Errorf(format, args...)}
}
