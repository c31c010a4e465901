package postgres_test

import (
	"slices"
	"testing"

	"github.com/schemawave/schemawave/migrations"
)

func TestMigrateAppliesEachOnceAndReports(t *testing.T) {
	url := freshURL(t)
	cfg := config(t, url)
	set := load(t, numbered(5))

	report := migrate(t, cfg, set)
	if report.Outcome != migrations.OutcomeSucceeded || report.Count != 5 || report.From != "" || report.To != "5" {
		t.Errorf("first run: %+v", report)
	}
	if got := recorded(t, cfg); !slices.Equal(got, []string{"1", "2", "3", "4", "5"}) {
		t.Errorf("ledger: %v", got)
	}
	report = migrate(t, cfg, set)
	if report.Outcome != migrations.OutcomeCurrent || report.Count != 0 || report.From != "5" || report.To != "5" {
		t.Errorf("second run: %+v", report)
	}
	if runs := query(t, url, "SELECT outcome, finished IS NOT NULL FROM schemawave.run"); !slices.Equal(runs, []string{"succeeded|t"}) {
		t.Errorf("runs: %v", runs)
	}
	if n := query(t, url, "SELECT count(*) FROM schemawave.migration WHERE duration IS NULL AND version <> ''"); n[0] != "0" {
		t.Errorf("%s migrations without a duration", n[0])
	}
}
