package postgres

import (
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// withOutput is the reason for a tool's failure that is known better than by the tool, with what it said last.
func withOutput(reason *Error, runErr error) *Error {
	e := *reason
	e.Failure.Output = FailureOf(runErr).Output
	return &e
}

// unreachable returns the failure if err says that the server cannot be reached, as after a failover; nil if it does not.
func unreachable(err error) *Error {
	var refused *Error
	switch {
	case errors.As(err, new(*lostError)):
		return lostFailure(err)
	case errors.As(err, &refused) && refused.Failure.Code == migrations.ExitUnreachable:
		return refused
	}
	return nil
}

// explainTool adds to a tool's failure what its SQLSTATE means, and what its history says about it.
func (x *exclusive) explainTool(err error) error {
	e := &Error{Failure: *FailureOf(err)}
	var told *Error
	if errors.As(err, &told) {
		e.cause = told.cause
	}
	if f := &e.Failure; f.SQLState != "" {
		f.Code = codeOf(f.SQLState)
		f.Permanent, f.Hint = f.Code.Permanent(), fallback(hintFor(&pgconn.PgError{Code: f.SQLState}), f.Hint)
	}
	switch {
	case x.after.dirty != nil:
		e.Failure.Message += "; its history says: " + x.after.dirty.Failure.Message
		e.Failure.Hint = x.after.dirty.Failure.Hint
	case x.after.held != "":
		e.Failure.Hint = x.after.held
	}
	return e
}

// doubt returns why a tool that ended with success is not believed, if it is not.
func (x *exclusive) doubt() error {
	h := x.command.History
	switch {
	case x.after.dirty != nil:
		return about(h.Tool, x.after.table, x.after.dirty)
	case !x.after.there && h.Tool == ToolCustom:
		return misconfigured(x.command.Name+" ended with success, but what the history's query reads from is not there",
			"check that the tool uses the same database and schema as DATABASE_URL, and correct the query")
	case !x.after.there:
		return misconfigured(fmt.Sprintf("%s ended with success, but there is no history of %s", x.command.Name, h.Tool),
			"check that the tool uses the same database and schema as DATABASE_URL; name a renamed table with --history-table")
	}
	return nil
}

func (x *exclusive) outcome(err error) migrations.Outcome {
	switch {
	case err != nil:
		return migrations.OutcomeFailed
	case x.changed():
		return migrations.OutcomeSucceeded
	}
	return migrations.OutcomeCurrent
}

// changed reports whether anything has, as far as can be told.
func (x *exclusive) changed() bool {
	return x.before.fingerprint != x.after.fingerprint || x.after.fingerprint == "" || !x.after.same(x.before.foreign)
}

// tell makes the report.
func (x *exclusive) tell(cfg Config, err error) migrations.Report {
	rep := x.report(cfg, err)
	from, to := x.before.newest(), x.after.newest()
	rep.From, rep.To, rep.Outcome = from.version, to.version, x.outcome(err)
	applied, repeated := x.after.since(x.before.foreign)
	if !x.after.newestOnly {
		rep.Count = len(applied) + len(repeated)
	}
	for _, p := range applied {
		if p.version != "" {
			rep.Applied = append(rep.Applied, p.version)
		}
	}
	slices.SortFunc(rep.Applied, migrations.Version.Compare)
	for _, p := range repeated {
		rep.Repeated = append(rep.Repeated, p.name)
	}
	if x.started {
		rep.Tool = &migrations.ToolRun{History: string(x.command.History.Tool), From: from.name, To: to.name,
			Changed: x.changed(), Fingerprint: x.after.fingerprint}
		if x.status >= 0 {
			rep.Tool.Status = &x.status
		}
		if hint := x.command.History.unnumbered(to); err == nil && hint != "" {
			rep.Tool.Hint = hint
			x.log.Warn("the tool's history gives no version, so nothing that waits for this schema finds it ready", "newest", to.name, "remedy", hint)
		}
	}
	return rep
}
