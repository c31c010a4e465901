package migrations

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzReport holds that a report fits, is read back as it was but for what was cut, and that encoding changes nothing.
func FuzzReport(f *testing.F) {
	f.Add("orders", "1", 2, 1, strings.Repeat("v", 5000), "", "", "", "", 0, 0, int64(0))
	f.Add("orders", "1", 3, 2, "views", "0007_x.sql", "CREATE TABLE t", "it exists", "drop it", 12, 3, int64(0))
	f.Add("", "20261122093000", 300, 300, "views", strings.Repeat("x", 300), strings.Repeat("ü€\U0001F600", 900), strings.Repeat("<\"\\\x01>", 900), "\xff", -1, 0, int64(1e18))
	f.Fuzz(func(t *testing.T, database, version string, applied, repeated int, name, file, statement, message, hint string, line, column int, at int64) {
		r := Report{Format: ReportFormat, Database: database, To: Version(version), Count: applied, Started: time.Unix(at%1e11, 0).UTC(),
			Outcome: OutcomeFailed, Failure: &Failure{Code: ExitRejected, Permanent: true, File: file, Line: line, Column: column,
				Statement: statement, Message: message, Hint: hint}}
		for range min(max(applied, 0), 300) {
			r.Applied = append(r.Applied, r.To)
		}
		for range min(max(repeated, 0), 600) {
			r.Repeated = append(r.Repeated, name)
		}
		before, versions, names := *r.Failure, len(r.Applied), len(r.Repeated)
		b, err := r.Encode()
		if *r.Failure != before || len(r.Applied) != versions || len(r.Repeated) != names {
			t.Fatal("encoding changed the report")
		}
		if err != nil {
			if r.Started.Year() <= 9999 && r.Started.Year() >= 0 && len(database)+3*len(version) < 400 {
				t.Fatal(err)
			}
			return
		}
		if len(b) > MaxReportBytes || !utf8.Valid(b) {
			t.Fatalf("%d bytes: %q", len(b), b)
		}
		got, err := DecodeReport(b)
		if err != nil {
			t.Fatal(err)
		}
		whole := len(got.Applied) == versions
		if !whole && (len(got.Applied) < 2 || got.Count != applied) || !got.Started.Equal(r.Started) || got.Failure.Line != line {
			t.Fatalf("%+v, from %+v", got, r)
		}
		for _, pair := range [][2]string{{got.Failure.File, file}, {got.Failure.Statement, statement}, {got.Failure.Message, message}, {got.Failure.Hint, hint}} {
			if kept, cut := strings.CutSuffix(pair[0], "…"); utf8.ValidString(pair[1]) && pair[0] != pair[1] && (!cut || !strings.HasPrefix(pair[1], strings.TrimRight(kept, "…"))) {
				t.Fatalf("%q was cut to %q", pair[1], pair[0])
			}
		}
	})
}

// FuzzDecodeReport holds that whatever a Pod leaves behind is refused or a report, and that a report stays itself when it is
// encoded again.
func FuzzDecodeReport(f *testing.F) {
	good, err := Report{Format: ReportFormat, Database: "orders", Applied: []Version{"1", "2"}, Count: 2, Failure: &Failure{Message: "m"}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{string(good), "", "null", "[]", "panic: boom", `{"format":"x"}`, `{"format":"` + ReportFormat + `","error":null,"count":1e9}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeReport(b)
		if err != nil {
			if !reflect.DeepEqual(r, Report{}) {
				t.Fatalf("refused, and read as %+v", r)
			}
			return
		}
		if !json.Valid(b) || r.Format != ReportFormat {
			t.Fatalf("%q was accepted", b)
		}
		again, err := r.Encode()
		if err != nil || len(b) > MaxReportBytes/8 {
			return // more than fits
		}
		same, err := DecodeReport(again)
		if err != nil || !sameReport(r, same) {
			t.Fatalf("%+v, then %+v, %v", r, same, err)
		}
	})
}

// sameReport compares what two reports say; a list may be empty or absent, and a time may be in any zone.
func sameReport(a, b Report) bool {
	for _, r := range []*Report{&a, &b} {
		r.Started, r.Finished = r.Started.UTC(), r.Finished.UTC()
		if len(r.Applied) == 0 {
			r.Applied = nil
		}
		if len(r.Repeated) == 0 {
			r.Repeated = nil
		}
	}
	return reflect.DeepEqual(a, b)
}
