package migrations

import "errors"

// ExitCode is the exit status of every Schemawave command, after sysexits.h. The rendered Job's podFailurePolicy fails a
// Job at once on the permanent ones and lets Kubernetes retry the transient ones.
type ExitCode int

// The exit codes, one meaning in every subcommand.
const (
	ExitDone        ExitCode = 0  // what was asked for is so
	ExitUsage       ExitCode = 64 // wrong command line; permanent
	ExitRejected    ExitCode = 65 // the migration or the input is wrong; permanent
	ExitUnreachable ExitCode = 69 // the database or the broker does not answer; transient
	ExitBug         ExitCode = 70 // a defect of this program; transient, for a retry may still help
	ExitBusy        ExitCode = 75 // a lock is held, a lock timeout struck, a wait timed out; transient
	ExitDenied      ExitCode = 77 // permission denied; permanent
	ExitConfig      ExitCode = 78 // wrong configuration; permanent
)

// Permanent reports whether running the same command again, with nothing changed, must end the same way.
func (c ExitCode) Permanent() bool {
	switch c {
	case ExitUsage, ExitRejected, ExitDenied, ExitConfig:
		return true
	}
	return false
}

// PermanentExitCodes lists the codes for which Permanent holds, in ascending order.
func PermanentExitCodes() []ExitCode {
	return []ExitCode{ExitUsage, ExitRejected, ExitDenied, ExitConfig}
}

// CodeOf returns the code that err asks for: ExitDone for nil, that of the first error in its tree with a method
// ExitCode() ExitCode, else ExitBug.
func CodeOf(err error) ExitCode {
	if err == nil {
		return ExitDone
	}
	var coded interface{ ExitCode() ExitCode }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return ExitBug
}
