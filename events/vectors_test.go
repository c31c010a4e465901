package events_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/schemawave/schemawave/events"
)

// TestVectors holds the code to vectors.json, which waiters in other languages can be held to.
func TestVectors(t *testing.T) {
	content, err := os.ReadFile("vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Description string
		Versions    []struct {
			A, B  string
			Order int
		}
		Subjects []struct {
			Environment, Database, Tenant, State, Live string
		}
		Verdicts []struct {
			Reason, Required, Answer string
			State                    json.RawMessage
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors.Versions {
		if there, back := events.CompareVersions(v.A, v.B), events.CompareVersions(v.B, v.A); there != v.Order || back != -v.Order {
			t.Errorf("%q to %q is %d, and %d the other way round; want %d", v.A, v.B, there, back, v.Order)
		}
	}
	for _, v := range vectors.Subjects {
		if got := events.StateSubject(v.Environment, v.Database, v.Tenant); got != v.State {
			t.Errorf("state of %+v: %s", v, got)
		}
		if got := events.LiveSubject(v.Environment, v.Database, v.Tenant); got != v.Live {
			t.Errorf("live of %+v: %s", v, got)
		}
	}
	answers := map[string]int{}
	for _, v := range vectors.Verdicts {
		decoder := json.NewDecoder(bytes.NewReader(v.State))
		decoder.DisallowUnknownFields()
		var s events.State
		if err := decoder.Decode(&s); err != nil {
			t.Fatalf("%s: %v", v.Reason, err)
		}
		answers[v.Answer]++
		if got := s.Satisfies(v.Required).Answer.String(); got != v.Answer {
			t.Errorf("%s: %s, want %s", v.Reason, got, v.Answer)
		}
	}
	if len(vectors.Versions) < 10 || len(vectors.Subjects) < 5 || len(answers) != 4 {
		t.Errorf("vectors are missing: %d versions, %d subjects, answers %v", len(vectors.Versions), len(vectors.Subjects), answers)
	}
}
