package main

import (
	"strings"
	"testing"
	"time"

	"github.com/schemawave/schemawave/events"
)

// TestStatusNamesWhatIsInTheWay prints a failure and an obstacle, each with its remedy, below the table.
func TestStatusNamesWhatIsInTheWay(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var b strings.Builder
	if err := printStatus(&b, []events.State{{
		Environment: "production", Database: "orders",
		Ready:       &events.Ready{Version: "1", Evidence: events.EvidenceReport, Since: now.Add(-time.Hour)},
		LastAttempt: &events.Attempt{Outcome: events.OutcomeFailed, Version: "2", Failure: &events.Failure{Message: "no", Hint: "push"}},
		Obstacle:    &events.Obstacle{Kind: events.Stuck, Version: "3", Reason: "Argo CD will not sync it; sync the whole application"},
	}, {
		Environment: "production", Database: "stock",
		Ready:       &events.Ready{Version: "2", Evidence: events.EvidenceApplication, Since: now.Add(-time.Hour)},
		LastAttempt: &events.Attempt{Outcome: events.OutcomeFailed, Version: "2", Run: "argocd/stock@1", Failure: &events.Failure{Message: "no"}},
		LateAttempt: &events.Attempt{Outcome: events.OutcomeSucceeded, Version: "2", Run: "argocd/stock@1"}, // in the next try
	}}, now); err != nil {
		t.Fatal(err)
	}
	const want = `DATABASE            READY   SINCE   EVIDENCE      LAST ATTEMPT
production/orders   1       1h      report        2 failed
production/stock    2       1h      application   2 succeeded

production/orders: no: push

production/orders: stuck: Argo CD will not sync it; sync the whole application
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
