package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// Error is why a run failed. It holds no literal of the SQL and nothing of the server's DETAIL, which quotes rows; the
// driver's own error is deliberately not part of its tree.
type Error struct {
	Failure   migrations.Failure
	cause     error // a context's error, or nil
	retryable bool  // the same statement, sent again, may well succeed, having left nothing behind
}

// Error reads "file:line:column: message (SQLSTATE code) (hint)".
func (e *Error) Error() string {
	f := e.Failure
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
		}
		b.WriteString(": ")
	}
	b.WriteString(f.Message)
	if f.SQLState != "" {
		fmt.Fprintf(&b, " (SQLSTATE %s)", f.SQLState)
	}
	if f.Hint != "" {
		fmt.Fprintf(&b, " (%s)", f.Hint)
	}
	return b.String()
}

// Unwrap gives the context's error if the run was interrupted.
func (e *Error) Unwrap() error { return e.cause }

// ExitCode is the failure's.
func (e *Error) ExitCode() migrations.ExitCode { return e.Failure.Code }

// ExitCode returns the exit code for an error of this package or of package migrations; ExitDone for nil.
func ExitCode(err error) migrations.ExitCode { return migrations.CodeOf(err) }

// fail makes an *Error. Whether it is permanent follows from the code.
func fail(code migrations.ExitCode, message, hint string) *Error {
	return &Error{Failure: migrations.Failure{Code: code, Permanent: code.Permanent(), Message: message, Hint: hint}}
}

func misconfigured(message, hint string) *Error { return fail(migrations.ExitConfig, message, hint) }

// interrupted says that ctx ended the run.
func interrupted(ctx context.Context) *Error {
	if e, ok := context.Cause(ctx).(*Error); ok {
		return e
	}
	e := fail(migrations.ExitBusy, "interrupted", "run it again: it goes on where it stopped")
	e.cause = ctx.Err()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Failure.Message = "the deadline has passed"
		e.Failure.Hint = "run it again: it goes on where it stopped; or allow more time with policy.deadline"
	}
	return e
}

// cutShort says of a failure that the server ended what it did because ctx had.
func (e *Error) cutShort(ctx context.Context, when string) {
	why, f := interrupted(ctx), &e.Failure
	f.Code, f.Permanent, f.Message, f.Hint = why.Failure.Code, false, why.Failure.Message+" "+when, why.Failure.Hint
	e.cause = why.cause
}

// FailureOf is what a report says about an error of this package or of package migrations.
func FailureOf(err error) *migrations.Failure {
	var e *Error
	if errors.As(err, &e) {
		f := e.Failure
		return &f
	}
	code := migrations.CodeOf(err)
	f := migrations.Failure{Code: code, Permanent: code.Permanent(), Message: err.Error()}
	var (
		problem  *migrations.Problem
		edited   *migrations.EditedError
		late     *migrations.OutOfOrderError
		remedied interface{ Remedy() string }
	)
	switch {
	case errors.As(err, &problem):
		f.File, f.Line, f.Hint = problem.File, problem.Line, problem.Remedy
	case errors.As(err, &edited):
		f.File = edited.File
	case errors.As(err, &late):
		f.File = late.File
	}
	if errors.As(err, &remedied) {
		f.Hint = remedied.Remedy()
	}
	return &f
}

// serverFailure is an error the server gave to something of our own: the ledger's SQL, not a migration's.
func serverFailure(pe *pgconn.PgError) *Error {
	code := codeOf(pe.Code)
	if lostRace(pe) {
		code = migrations.ExitBusy
	}
	e := fail(code, safeMessage(pe, ""), hintFor(pe))
	e.Failure.SQLState, e.retryable = pe.Code, mayPass(pe)
	return e
}

// connectFailure explains why there is no connection. The password is in none of the texts used.
func connectFailure(ctx context.Context, conn *pgconn.Config, err error) *Error {
	if ctx.Err() != nil && !errors.As(err, new(*pgconn.PgError)) {
		e := interrupted(ctx)
		e.Failure.Code, e.Failure.Message = migrations.ExitUnreachable, connecting(conn)+": "+e.Failure.Message
		return e
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		e := serverFailure(pe)
		e.Failure.Message = connecting(conn) + ": " + e.Failure.Message
		if pe.Code == undefinedSetting {
			e.Failure.Code, e.Failure.Permanent = migrations.ExitConfig, true
			e.Failure.Hint = "remove the parameter from the connection URL: PostgreSQL does not know it"
		}
		return e
	}
	if isCertificateError(err) {
		return misconfigured(connecting(conn)+": the server's certificate is not trusted",
			"set sslrootcert to the authority that signed it, or correct the host name")
	}
	cause := networkCause(err)
	if strings.HasSuffix(cause, "server refused TLS connection") { // the driver has no type for it
		return misconfigured(connecting(conn)+": the server offers no TLS, which the connection settings demand",
			"turn TLS on in the server (ssl = on), or lower sslmode in the connection URL")
	}
	return fail(migrations.ExitUnreachable, connecting(conn)+": "+cause, "check that the server runs and that its address and network policies are right")
}

func connecting(conn *pgconn.Config) string {
	return fmt.Sprintf("connect to database %q on %s:%d as %q", conn.Database, conn.Host, conn.Port, conn.User)
}

func isCertificateError(err error) bool {
	return errors.As(err, new(x509.UnknownAuthorityError)) || errors.As(err, new(x509.HostnameError)) ||
		errors.As(err, new(x509.CertificateInvalidError))
}

// networkCause is the innermost error's text.
func networkCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
