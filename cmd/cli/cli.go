// Package cli is what every Schemawave command has in common: how it starts, how it ends, and how it speaks.
//
// A command prints its result on standard output and everything else, logs included, on standard error. It ends with one
// of the exit codes of package migrations, whose meaning is the same everywhere.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/migrations"
)

// Error is an error that knows how the process should end, and what the user can do about it.
type Error struct {
	Code migrations.ExitCode
	Err  error
	Hint string // the remedy; may be empty
}

// Error, Unwrap, ExitCode and Remedy tell its parts.
func (e *Error) Error() string                 { return e.Err.Error() }
func (e *Error) Unwrap() error                 { return e.Err }
func (e *Error) ExitCode() migrations.ExitCode { return e.Code }
func (e *Error) Remedy() string                { return e.Hint }

// coded is an error with an exit code: an *Error, or one of package migrations and its like.
type coded interface{ ExitCode() migrations.ExitCode }

// Exit returns err with the exit code it should end the process with; nil stays nil.
func Exit(code migrations.ExitCode, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

// Usage returns an error of the command line.
func Usage(format string, args ...any) error {
	return &Error{Code: migrations.ExitUsage, Err: fmt.Errorf(format, args...)}
}

// Do adapts a command's function to cobra. An error without an exit code is a defect of ours and says so.
func Do(f func(ctx context.Context, c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := f(c.Context(), c, args)
		var e coded
		if err == nil || errors.As(err, &e) {
			return err
		}
		return Exit(migrations.ExitBug, err)
	}
}

// Main runs the root command until it ends or the process is told to stop (StopSignals), prints the error if there is one,
// and returns the exit code.
func Main(root *cobra.Command) migrations.ExitCode {
	ctx, stop := signal.NotifyContext(context.Background(), StopSignals()...)
	defer stop()
	return Run(ctx, root, os.Stderr)
}

// Run is Main without the process: it executes root and reports an error on stderr.
func Run(ctx context.Context, root *cobra.Command, stderr io.Writer) migrations.ExitCode {
	root.SilenceUsage, root.SilenceErrors = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &Error{Code: migrations.ExitUsage, Err: err, Hint: fmt.Sprintf("see %s --help", c.CommandPath())}
	})
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return migrations.ExitDone
	}
	var c coded
	if !errors.As(err, &c) {
		// Only cobra itself returns bare errors, for commands and arguments it does not know.
		err = &Error{Code: migrations.ExitUsage, Err: err, Hint: fmt.Sprintf("see %s --help", command.CommandPath())}
	}
	fmt.Fprintf(stderr, "%s: %v\n", root.Name(), err)
	if e := (*Error)(nil); errors.As(err, &e) && e.Hint != "" {
		fmt.Fprintf(stderr, "  %s\n", e.Hint)
	}
	return migrations.CodeOf(err)
}

// Logger returns the logger of a command: text on a terminal's standard error, JSON when asked.
func Logger(w io.Writer, format string, verbose bool) (*slog.Logger, error) {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, Usage("--log-format %q: want text or json", format)
}
