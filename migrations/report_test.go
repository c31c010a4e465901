package migrations

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func longReport() Report {
	at := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	r := Report{Format: ReportFormat, Database: "orders", Environment: "production", Digest: "sha256:" + strings.Repeat("a", 64),
		From: "1", To: "20261122093000", Count: 5000, Run: "id", Started: at, Finished: at.Add(time.Second), Outcome: OutcomeSucceeded}
	for i := range 5000 {
		r.Applied = append(r.Applied, Version(fmt.Sprint(20260000000000+i)))
	}
	return r
}

func TestReportFitsATerminationMessage(t *testing.T) {
	r := longReport()
	r.Outcome = OutcomeFailed
	for name, text := range map[string]string{
		"short": "x", "long": strings.Repeat("long text ", 2000), "wide": strings.Repeat("ü€\U0001F600", 2000),
		"escaped": strings.Repeat("<\"\\\x01>", 3000), "not UTF-8": strings.Repeat("\xff", 9000),
	} {
		r.Failure = &Failure{Code: ExitRejected, Permanent: true, SQLState: "42P07", File: "0007_x.sql", Line: 12, Column: 3, Statement: text, Message: text, Hint: text}
		before := *r.Failure
		b, err := r.Encode()
		if err != nil || len(b) > MaxReportBytes || !utf8.Valid(b) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if len(r.Applied) != 5000 || *r.Failure != before {
			t.Errorf("%s: encoding changed the report", name)
		}
		got, err := DecodeReport(b)
		if err != nil || got.Count != 5000 || got.Failure.File != "0007_x.sql" || got.Failure.Line != 12 || !got.Started.Equal(r.Started) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if len(got.Applied) > 0 && (got.Applied[0] != r.Applied[0] || got.Applied[len(got.Applied)-1] != r.Applied[4999]) {
			t.Errorf("%s: applied from %s to %s", name, got.Applied[0], got.Applied[len(got.Applied)-1])
		}
	}
}

func TestReportCutsNoMoreThanNeeded(t *testing.T) {
	r := longReport()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeReport(b); err != nil || len(got.Applied) < 50 || len(b) < MaxReportBytes/3 {
		t.Errorf("%d of %d bytes, %d versions left, %v", len(b), MaxReportBytes, len(got.Applied), err)
	}
	r.Applied = r.Applied[:20]
	b, _ = r.Encode()
	if got, _ := DecodeReport(b); len(got.Applied) != 20 {
		t.Errorf("%d versions left of 20", len(got.Applied))
	}
}

func TestReportWithALongFileName(t *testing.T) {
	r := longReport()
	r.Failure = &Failure{File: strings.Repeat("x", 9000), Message: "m"}
	if b, err := r.Encode(); err != nil || len(b) > MaxReportBytes {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	r.Database = strings.Repeat("x", 9000)
	if _, err := r.Encode(); err == nil {
		t.Error("what cannot be cut was accepted")
	}
}

func TestReportWithTheLongestVersions(t *testing.T) {
	r := longReport()
	long := Version(strings.Repeat("9", maxVersionBytes))
	text := strings.Repeat("<", 9000)
	r.From, r.To, r.MinCompatible, r.Applied = long, long, long, []Version{long, long, long, long}
	r.Failure = &Failure{File: strings.Repeat("x", 255), Statement: text, Message: text, Hint: text}
	if b, err := r.Encode(); err != nil || len(b) > MaxReportBytes {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// Names of repeatable files give way even where the two versions that are left do not.
func TestReportWithALongRepeatableName(t *testing.T) {
	r := longReport()
	r.Applied, r.Repeated, r.Count = r.Applied[:2], []string{strings.Repeat("v", 5000)}, 3
	b, err := r.Encode()
	if err != nil || len(b) > MaxReportBytes || len(r.Repeated) != 1 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if got, err := DecodeReport(b); err != nil || len(got.Applied) != 2 || got.Count != 3 || len(got.Repeated) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDecodeReportRefusesOthers(t *testing.T) {
	for _, text := range []string{"", "null", "{}", "panic: boom", `{"format":"x/v9"}`, `[]`} {
		if _, err := DecodeReport([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if _, err := DecodeReport([]byte(`{"format":"` + ReportFormat + `","later":1}`)); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
}

// The names of the fields are a contract with whoever reads termination messages.
func TestReportFields(t *testing.T) {
	r := Report{Format: ReportFormat, Failure: &Failure{Message: "m"}}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"format", "database", "environment", "digest", "count", "run", "started", "finished", "outcome", "error"} {
		if _, ok := got[field]; !ok {
			t.Errorf("no field %s in %s", field, b)
		}
	}
	if failure := got["error"].(map[string]any); failure["permanent"] != false || failure["message"] != "m" {
		t.Errorf("%s", b)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []ExitCode{ExitDone, ExitUsage, ExitRejected, ExitUnreachable, ExitBug, ExitBusy, ExitDenied, ExitConfig} {
		listed := false
		for _, p := range PermanentExitCodes() {
			listed = listed || p == c
		}
		if listed != c.Permanent() {
			t.Errorf("%d: listed %t, permanent %t", c, listed, c.Permanent())
		}
	}
	if CodeOf(nil) != ExitDone || CodeOf(fmt.Errorf("x")) != ExitBug || CodeOf(fmt.Errorf("x: %w", &Problem{Kind: NoFiles})) != ExitConfig {
		t.Error("codes of errors")
	}
}

// Of a tool's output the end is kept, and all else that is cut is cut before the message.
func TestReportOfAToolKeepsTheEndOfItsOutput(t *testing.T) {
	r := longReport()
	status := 1
	name := strings.Repeat("<", 255)
	r.Tool = &ToolRun{History: "laravel", From: name, To: name, Status: &status, Fingerprint: "sha256:" + strings.Repeat("b", 64)}
	r.Failure = &Failure{Code: ExitRejected, Message: "php ended with exit status 1", Output: strings.Repeat("ü long line\n", 2000) + "the end"}
	b, err := r.Encode()
	if err != nil || len(b) > MaxReportBytes || !utf8.Valid(b) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	got, err := DecodeReport(b)
	if err != nil || got.Failure.Message != r.Failure.Message || !strings.HasPrefix(got.Failure.Output, "…") || !strings.HasSuffix(got.Failure.Output, "the end") || *got.Tool.Status != 1 {
		t.Errorf("%v: %+v, %+v", err, got.Failure, got.Tool)
	}
	if len(r.Failure.Output) < 20000 || r.Tool.From != name {
		t.Error("encoding changed the report")
	}
}
