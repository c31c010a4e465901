package environment

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
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

// busyError is a host's answer that it is to be left alone for a while.
type busyError struct {
	err  error
	wait time.Duration // as the host has it; zero: it does not say
}

func (e *busyError) Error() string {
	if e.wait == 0 {
		return e.err.Error()
	}
	return fmt.Sprintf("%s, and asks to be left alone for %s", e.err, e.wait)
}

// Unwrap returns the cause.
func (e *busyError) Unwrap() error { return e.err }

// maxRest bounds how long a host is left alone because it asks for it.
const maxRest = 15 * time.Minute

// restOf returns how long the host that an error is from is to be left alone.
func restOf(err error) time.Duration {
	var busy *busyError
	if errors.As(err, &busy) {
		return min(busy.wait, maxRest)
	}
	return 0
}

// retryAfter reads the header of that name, of seconds or a date (RFC 9110, section 10.2.3); zero if there is none.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if n, err := strconv.ParseInt(value, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at).Round(time.Second))
	}
	return 0
}

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
