package migrations

import (
	"encoding/json"
	"fmt"
	"time"
)

// MaxReportBytes bounds an encoded Report: the kubelet keeps at most 4,096 bytes of a container's termination message
// (Kubernetes, "Determine the Reason for Pod Failure").
const MaxReportBytes = 4096

// ReportFormat is the value of Report.Format written by this version.
const ReportFormat = "schemawave.dev/report/v1"

// Outcome is how a run ended.
type Outcome string

// The outcomes. All but OutcomeFailed mean that the schema holds everything the migration set asks for.
const (
	OutcomeSucceeded Outcome = "succeeded" // at least one migration was applied
	OutcomeCurrent   Outcome = "current"   // everything was already applied
	OutcomeAhead     Outcome = "ahead"     // the ledger holds newer migrations than the set, as after a rollback to an older image
	OutcomeFailed    Outcome = "failed"
)

// Report is what one run tells the world, as JSON in the Pod's termination message and, when asked, in a file.
// It never holds secrets, nor literals of the SQL that ran.
type Report struct {
	Format        string    `json:"format"` // ReportFormat
	Database      string    `json:"database"`
	Environment   string    `json:"environment"`
	Digest        string    `json:"digest"`                  // of the migration set, or of what its Job was rendered for, "sha256:…"
	Target        Version   `json:"target,omitempty"`        // newest version of the set, which the run was to reach
	From          Version   `json:"from,omitempty"`          // newest version in the ledger before the run
	To            Version   `json:"to,omitempty"`            // newest version in the ledger after the run
	Applied       []Version `json:"applied,omitempty"`       // by this run, oldest first; cut in the middle when long
	Repeated      []string  `json:"repeated,omitempty"`      // names of the repeatable ones that this run has run; cut at the end when long
	Tenants       *Tenants  `json:"tenants,omitempty"`       // where there are any: From, To and MinCompatible are what holds for all of them
	Count         int       `json:"count"`                   // how many were applied, repeatable ones included, whatever Applied was cut to; 0 where a tool's history remembers the newest only
	MinCompatible Version   `json:"minCompatible,omitempty"` // oldest version whose readers still work with To; empty: not said
	Run           string    `json:"run"`                     // the run's id in the ledger
	LockWait      float64   `json:"lockWait,omitempty"`      // seconds that the run waited for the migration lock; of tenants, the one that waited longest
	Started       time.Time `json:"started"`
	Finished      time.Time `json:"finished"`
	Outcome       Outcome   `json:"outcome"`
	Tool          *ToolRun  `json:"tool,omitempty"`  // where a team's own tool was run: From, To and what was applied are read from its history
	Failure       *Failure  `json:"error,omitempty"` // set if and only if Outcome is OutcomeFailed
}

// ToolRun is how a team's own tool went.
type ToolRun struct {
	History     string `json:"history"`               // whose kind of history, as in "laravel"
	From        string `json:"from,omitempty"`        // the newest migration before the run, as the tool itself names it
	To          string `json:"to,omitempty"`          // the same after the run
	Hint        string `json:"hint,omitempty"`        // the remedy, if the tool has succeeded and its history gives no version
	Status      *int   `json:"status,omitempty"`      // the exit status; absent if a signal ended the tool, or nothing was started
	Changed     bool   `json:"changed"`               // whether the history or the definition of anything in the database has changed
	Fingerprint string `json:"fingerprint,omitempty"` // of those definitions after the run, "sha256:…"; equal ones are defined alike
}

// Failure says why a run failed, in terms a person can act on.
type Failure struct {
	Code      ExitCode `json:"code"`
	Permanent bool     `json:"permanent"`
	SQLState  string   `json:"sqlstate,omitempty"` // PostgreSQL, appendix A
	File      string   `json:"file,omitempty"`
	Line      int      `json:"line,omitempty"`      // 1-based
	Column    int      `json:"column,omitempty"`    // 1-based, in characters
	Statement string   `json:"statement,omitempty"` // the failing statement with its literals replaced, cut when long
	Message   string   `json:"message"`
	Hint      string   `json:"hint,omitempty"`   // the remedy
	Output    string   `json:"output,omitempty"` // the last lines that a team's own tool has printed, without secrets and data; cut at its beginning
}

// Encode returns the report as JSON of at most MaxReportBytes, cutting first the lists of tenants and of applied versions, then the
// names and the output of a tool, and then the long texts of the failure.
func (r Report) Encode() ([]byte, error) {
	if r.Failure != nil {
		f := *r.Failure
		r.Failure = &f
	}
	if r.Tenants != nil {
		t := *r.Tenants
		r.Tenants = &t
	}
	if r.Tool != nil {
		t := *r.Tool
		r.Tool = &t
	}
	for {
		b, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("encode report: %w", err)
		}
		if len(b) <= MaxReportBytes {
			return b, nil
		}
		if !r.shorten() {
			return nil, fmt.Errorf("encode report: %d bytes, more than the %d a Pod may leave behind", len(b), MaxReportBytes)
		}
	}
}

// shorten halves the most expendable part and reports whether there was one.
func (r *Report) shorten() bool {
	if r.Tenants != nil && len(r.Tenants.Results) > 0 {
		r.Tenants.Results = r.Tenants.Results[:len(r.Tenants.Results)*3/4]
		return true
	}
	if n := len(r.Repeated); n > 0 && (n >= len(r.Applied) || len(r.Applied) <= 2) {
		r.Repeated = r.Repeated[:n/2]
		return true
	}
	if n := len(r.Applied); n > 2 {
		r.Applied = append(append([]Version{}, r.Applied[:(n+2)/4]...), r.Applied[n-(n+1)/4:]...)
		return true
	}
	if r.Tool != nil {
		for _, name := range []*string{&r.Tool.From, &r.Tool.To} {
			if len(*name) > 64 {
				*name = cut(*name, len(*name)/2)
				return true
			}
		}
	}
	if r.Failure == nil {
		return false
	}
	if o := &r.Failure.Output; len(*o) > 64 {
		*o = cutFront(*o, len(*o)*3/4)
		return true
	}
	longest := &r.Failure.Statement
	for _, s := range []*string{&r.Failure.Message, &r.Failure.Hint, &r.Failure.File} {
		if len(*s) > len(*longest) {
			longest = s
		}
	}
	if len(*longest) <= 64 {
		return false
	}
	*longest = cut(*longest, len(*longest)/2)
	return true
}

// cut returns the first n bytes of s, ending on a character, and an ellipsis.
func cut(s string, n int) string {
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

// cutFront returns an ellipsis and the last n bytes of s, beginning with a character.
func cutFront(s string, n int) string {
	at := len(s) - n
	for at < len(s) && s[at]&0xC0 == 0x80 {
		at++
	}
	return "…" + s[at:]
}

// DecodeReport reads a report. Fields it does not know are ignored; a wrong format is an error, so that some other
// program's termination message is never taken for a result.
func DecodeReport(b []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return Report{}, fmt.Errorf("decode report: %w", err)
	}
	if r.Format != ReportFormat {
		return Report{}, fmt.Errorf("decode report: format %q, want %q", r.Format, ReportFormat)
	}
	return r, nil
}
