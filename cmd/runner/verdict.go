package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// verdict is what a tool's end means; nil if it did its work. A tool's exit status says only that it failed, which is taken for
// permanent, unless the output tells an SQLSTATE that may pass: a lock timeout, which our own settings may have caused, a
// deadlock, a server that went away.
func verdict(name string, end ending, last *tail) error {
	f := migrations.Failure{Code: migrations.ExitRejected, Output: last.text()}
	switch {
	case end.stopped:
		f.Code, f.Message = migrations.ExitBusy, name+" was told to end"
	case end.status == 0:
		return nil
	case end.status < 0:
		f.Code, f.Message = migrations.ExitBusy, fmt.Sprintf("%s was ended by a signal (%s)", name, end.signal)
		if f.Hint = "run it again"; end.signal == syscall.SIGKILL {
			f.Hint = "if the container was out of memory, raise its limit; run it again"
		}
	default:
		f.Message = fmt.Sprintf("%s ended with exit status %d", name, end.status)
		if line := telling(f.Output); line != "" {
			f.Message += ": " + line
		}
		f.Hint, f.SQLState = "its output says why: mend the migration, or the tool's configuration", sqlStateIn(last.unredacted())
	}
	f.Permanent = f.Code.Permanent()
	return &postgres.Error{Failure: f}
}

// ofError finds the lines of an output that name an error.
var ofError = pattern(`(?mi)^.*(?:error|exception|sqlstate|fatal).*$`)

// telling is the last line of an output that names an error, and not only where in the program it was (at parseErrorMessage, in
// Node.js and Java); empty if none does.
func telling(output string) string {
	lines := slices.DeleteFunc(ofError().FindAllString(output, -1), func(line string) bool { return strings.HasPrefix(line, "at ") })
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// notStarted is the error of a command that is not there or cannot be run.
func notStarted(name string, err error) error {
	f := migrations.Failure{Code: migrations.ExitConfig, Permanent: true}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		f.Message, f.Hint = fmt.Sprintf("there is no command %s", name), "correct the command, or PATH; is this the image that has the tool?"
	case errors.Is(err, fs.ErrNotExist):
		f.Message, f.Hint = fmt.Sprintf("%s cannot be started: it, or the interpreter in its first line, is not there", name), "correct the command; is this the image that has the tool?"
	case errors.Is(err, fs.ErrPermission):
		f.Message, f.Hint = fmt.Sprintf("%s may not be executed", name), "give it the permission (chmod +x), or name its interpreter: sh FILE"
	default:
		f.Message, f.Hint = fmt.Sprintf("%s cannot be started: %v", name, cause(err)), "correct the command; is it built for this machine?"
	}
	return &postgres.Error{Failure: f}
}

// cause is the innermost error, without the path and arguments around it.
func cause(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// saidState finds an SQLSTATE in what tools print: SQLSTATE[42P01] (PHP), (SQLSTATE 42P01) (Go), code: '42P01' (Node.js),
// SQL State  : 42P01 (Flyway), "42P01" after sqlstate= (others). What a statement compares with a string, code = '42501', is none.
// P1001 and the like are codes of Prisma's own: PostgreSQL has only P0.
var saidState = pattern(`(?i:sql[ _]?state|\bcode)["']?[ \t]*(?:[\[:= ][ \t]*"?|:[ \t]*')((?:P0|[0-9A-OQ-Z][0-9A-Z])[0-9A-Z][0-9]{2})\b`)

// saidInWords are the texts of PostgreSQL and its drivers for what may pass, or for a missing permission, for tools that print no
// SQLSTATE, as Python's and Java's do not.
var saidInWords = []struct{ text, state string }{
	{"canceling statement due to lock timeout", "55P03"},
	{"could not obtain lock", "55P03"},
	{"deadlock detected", "40P01"},
	{"could not serialize access", "40001"},
	{"canceling statement due to statement timeout", "57014"},
	{"terminating connection due to administrator command", "57P01"},
	{"the database system is", "57P03"}, // starting up, shutting down, in recovery mode
	{"too many clients already", "53300"},
	{"remaining connection slots are reserved", "53300"},
	{"could not connect to server", "08001"},
	{"connection refused", "08001"},
	{"connection timed out", "08001"},
	{"timeout expired", "08001"},
	{"no route to host", "08001"},
	{"could not translate host name", "08001"},
	{"connect econnrefused", "08001"}, // Node.js
	{"connect etimedout", "08001"},
	{"getaddrinfo enotfound", "08001"},
	{"getaddrinfo eai_again", "08001"},
	{"connection terminated due to connection timeout", "08001"},
	{"connect call failed", "08001"},                       // Python's asyncio
	{"refused. check that the hostname and port", "08001"}, // JDBC
	{"can't reach database server", "08001"},               // Prisma
	{"server closed the connection unexpectedly", "08006"},
	{"ssl connection has been closed unexpectedly", "08006"},
	{"ssl syscall error", "08006"},
	{"connection terminated unexpectedly", "08006"},
	{"connection was closed in the middle of operation", "08006"}, // asyncpg
	{"connection reset by peer", "08006"},
	{"read econnreset", "08006"},
	{"permission denied for", "42501"},
	{"must be owner of", "42501"},
	{"password authentication failed", "28P01"},
}

// sqlStateIn returns the SQLSTATE that the output tells last; empty if it tells none.
func sqlStateIn(output string) string {
	if all := saidState().FindAllStringSubmatch(output, -1); all != nil {
		return all[len(all)-1][1]
	}
	lower := strings.ToLower(output)
	found, at := "", -1
	for _, said := range saidInWords {
		if i := strings.LastIndex(lower, said.text); i > at {
			found, at = said.state, i
		}
	}
	return found
}
