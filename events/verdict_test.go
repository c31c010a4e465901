package events_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/events"
)

func TestSatisfies(t *testing.T) {
	at := func(version, minCompatible string) *events.Ready {
		return &events.Ready{Version: version, MinCompatible: minCompatible}
	}
	failed := func(version string, f *events.Failure) *events.Attempt {
		return &events.Attempt{Outcome: events.OutcomeFailed, Version: version, Failure: f}
	}
	for _, c := range []struct {
		reason   string
		ready    *events.Ready
		attempt  *events.Attempt
		required string
		want     events.Answer
		says     string
	}{
		{"nothing is known", nil, nil, "7", events.NotYet, "production/orders has no proven migration yet"},
		{"any version: nothing is known", nil, nil, "", events.NotYet, "no proven migration"},
		{"any version: one is there", at("3", ""), nil, "", events.Satisfied, "is at 3"},
		{"any version asks for no compatibility", at("3", "2"), nil, "", events.Satisfied, "is at 3"},
		{"the version itself", at("7", ""), nil, "7", events.Satisfied, "is at 7"},
		{"a newer one serves its reader", at("9", "5"), nil, "7", events.Satisfied, "is at 9"},
		{"the oldest reader that is served", at("9", "7"), nil, "7", events.Satisfied, "is at 9"},
		{"an older one", at("5", ""), nil, "7", events.NotYet, "is at 5, not yet at 7"},
		{"the reader is too old", at("9", "8"), nil, "7", events.Incompatible, "serves readers of 8 or newer, not of 7"},
		{"too old, and the last attempt failed: an update is what helps", at("9", "8"), failed("10", nil), "7", events.Incompatible, "update the reader"},
		{"a later failure takes nothing away", at("7", ""), failed("8", failure), "7", events.Satisfied, "is at 7"},
		{"the attempt at it failed for good", at("5", ""), failed("7", failure), "7", events.AttemptFailed,
			`the last attempt at 7 failed for good: 0007_add_total.sql:12:5: column "total" does not exist (SQLSTATE 42703): add it first`},
		{"the attempt beyond it failed", at("5", ""), failed("9", failure), "7", events.AttemptFailed, "not yet at 7, and the last attempt at 9 failed"},
		{"a transient failure is one too", nil, failed("7", &events.Failure{Message: "connection lost"}), "7", events.AttemptFailed, "may be retried: connection lost"},
		{"a failure without a report", nil, failed("7", nil), "7", events.AttemptFailed, "see the logs"},
		{"any version: the first attempt failed", nil, failed("1", failure), "", events.AttemptFailed, "no proven migration yet, and"},
		{"an attempt below it failed: its own is to come", at("5", ""), failed("6", failure), "7", events.NotYet, "the last attempt at 6 failed"},
		{"an attempt at a version that nobody knows failed", at("5", ""), failed("", failure), "7", events.NotYet, "not yet at 7, and the last attempt failed for good"},
		{"any version: an attempt at one that nobody knows failed", nil, failed("", failure), "", events.AttemptFailed, "no proven migration yet, and the last attempt failed"},
		{"an attempt that succeeded without proof of ready", nil, &events.Attempt{Outcome: events.OutcomeSucceeded, Version: "7"}, "7", events.NotYet, "no proven"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := events.State{Environment: "production", Database: "orders", Ready: c.ready, LastAttempt: c.attempt}
			v := s.Satisfies(c.required)
			if v.Answer != c.want || !strings.Contains(v.Reason, c.says) {
				t.Errorf("got %v: %s\nwant %v: …%s…", v.Answer, v.Reason, c.want, c.says)
			}
			if c.want == events.AttemptFailed && v.Failure != c.attempt.Failure || c.want != events.AttemptFailed && v.Failure != nil {
				t.Errorf("failure is %v", v.Failure)
			}
		})
	}
}

// Every combination of small versions, against the rule written as one formula per answer.
// TestObstaclesAreNamed: whoever waits is told what is in the way and what to do, and goes on waiting.
func TestObstaclesAreNamed(t *testing.T) {
	obstacle := &events.Obstacle{Kind: events.Stuck, Version: "7", Reason: "it is stuck; sync the whole application"}
	failed := &events.Attempt{Outcome: events.OutcomeFailed, Version: "7", Failure: failure}
	for _, c := range []struct {
		state events.State
		want  events.Answer
		says  string
	}{
		{events.State{Obstacle: obstacle}, events.NotYet, "no proven migration yet, and it is stuck; sync the whole application"},
		{events.State{Obstacle: obstacle, Ready: &events.Ready{Version: "5"}}, events.NotYet, "is at 5, not yet at 7, and it is stuck"},
		{events.State{Obstacle: obstacle, Ready: &events.Ready{Version: "7"}}, events.Satisfied, "is at 7"},
		{events.State{Obstacle: obstacle, LastAttempt: failed}, events.AttemptFailed, "add it first, and it is stuck"},
	} {
		if v := c.state.Satisfies("7"); v.Answer != c.want || !strings.Contains(v.Reason, c.says) {
			t.Errorf("got %v: %s\nwant %v: …%s…", v.Answer, v.Reason, c.want, c.says)
		}
	}
}

func TestSatisfiesEverywhere(t *testing.T) {
	versions := []string{"", "1", "2", "3", "10"}
	n := map[string]int{"": 0, "1": 1, "2": 2, "3": 3, "10": 10}
	seen := map[events.Answer]int{}
	try := func(s events.State, required string) {
		r, a := s.Ready, s.LastAttempt
		incompatible := r != nil && required != "" && n[required] < n[r.MinCompatible]
		satisfied := r != nil && !incompatible && n[r.Version] >= n[required]
		failed := !incompatible && !satisfied && a != nil && a.Outcome == events.OutcomeFailed && n[a.Version] >= n[required]
		want := events.NotYet
		switch {
		case incompatible:
			want = events.Incompatible
		case satisfied:
			want = events.Satisfied
		case failed:
			want = events.AttemptFailed
		}
		v := s.Satisfies(required)
		if v.Answer != want || v.Reason == "" {
			t.Errorf("%+v, %+v for %q: %v (%s), want %v", r, a, required, v.Answer, v.Reason, want)
		}
		seen[v.Answer]++
	}
	readies, attempts := []*events.Ready{nil}, []*events.Attempt{nil}
	for _, v := range versions[1:] {
		for _, m := range versions {
			readies = append(readies, &events.Ready{Version: v, MinCompatible: m})
		}
		for _, o := range []events.Outcome{events.OutcomeSucceeded, events.OutcomeFailed} {
			attempts = append(attempts, &events.Attempt{Outcome: o, Version: v, Failure: failure})
		}
	}
	for _, r := range readies {
		for _, a := range attempts {
			for _, required := range versions {
				try(events.State{Environment: "e", Database: "d", Ready: r, LastAttempt: a}, required)
			}
		}
	}
	for a := events.NotYet; a <= events.AttemptFailed; a++ {
		if seen[a] == 0 {
			t.Errorf("no combination was %v", a)
		}
	}
	if got := fmt.Sprint(events.Answer(9)); got != "Answer(9)" {
		t.Errorf("an unknown answer prints as %q", got)
	}
}
