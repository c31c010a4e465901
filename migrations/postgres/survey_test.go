package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// stands says where a tenant stands, in short.
func stands(s postgres.Standing) string {
	text := fmt.Sprintf("%s of %d", s.Version, s.Applied)
	if len(s.Unfinished) > 0 {
		text += fmt.Sprintf(", half applied %v", s.Unfinished)
	}
	if s.Failure != nil {
		text += fmt.Sprintf(", failed at %s:%d", s.Failure.File, s.Failure.Line)
	}
	return text
}

// Who lags, and why, is one connection's work for all tenants.
func TestWhereTenantsStand(t *testing.T) {
	directAndPooled(t, []string{"all", "behind", "broken", "fresh", "half"}, func(t *testing.T, url string, cfg postgres.Config) {
		set := load(t, files("1_a.sql", "CREATE TABLE a (id int)", "2_b.sql", "CREATE TABLE b (id int)", "9_c.sql", "CREATE TABLE c (id int)", "10_d.sql", "CREATE TABLE d (id int)"))
		before, err := postgres.StatusTenants(t.Context(), cfg, everyTenant)
		if err != nil || len(before) != 5 || before[0].Result.Applied != 0 {
			t.Errorf("without a ledger: %+v, %v", before, err)
		}
		query(t, url, "CREATE TABLE broken.b (there_already int)")
		if _, err := postgres.MigrateTenants(t.Context(), cfg, set, postgres.Tenants{Names: []string{"all", "broken", "half"}}); err == nil {
			t.Fatal("a migration that must fail did not")
		}
		behind := cfg
		behind.Tenant, behind.Target = "behind", "2"
		migrate(t, behind, set)
		query(t, url, "INSERT INTO schemawave.statement (tenant, migration, ordinal, prefix, existed) VALUES ('half', '11', 1, '', false), ('half', '11', 2, '', false)")

		var w wire
		w.tap(&cfg)
		standings, err := postgres.StatusTenants(t.Context(), cfg, everyTenant)
		if err != nil {
			t.Fatal(err)
		}
		if dials, _, _ := w.counts(); dials > 2 { // a pooler that refuses settings is asked again
			t.Errorf("%d connections", dials)
		}
		isSaid(t, whatCame(standings, stands), "all: 10 of 4", "behind: 2 of 2", "broken: 1 of 1, failed at 2_b.sql:1", "fresh:  of 0", "half: 10 of 4, half applied [11]")
		if broken := standings[2].Result; broken.FailedAt.Before(broken.AppliedAt) || broken.AppliedAt.IsZero() {
			t.Errorf("%+v", broken)
		}

		previews, err := postgres.PreviewTenants(t.Context(), cfg, set, everyTenant)
		if err != nil {
			t.Fatal(err)
		}
		isSaid(t, whatCame(previews, func(p postgres.TenantPreview) string {
			return fmt.Sprintf("from %s, %d pending, %s", p.From, len(p.Pending), stands(p.Standing))
		}), "all: from 10, 0 pending, 10 of 4", "behind: from 2, 2 pending, 2 of 2", "broken: from 1, 3 pending, 1 of 1, failed at 2_b.sql:1",
			"fresh: from , 4 pending,  of 0", "half: from 10, 0 pending, 10 of 4, half applied [11]")

		query(t, url, "DROP TABLE broken.b")
		if _, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant); err != nil {
			t.Fatal(err)
		}
		if standings, err = postgres.StatusTenants(t.Context(), cfg, postgres.Tenants{Names: []string{"broken"}}); err != nil || standings[0].Result.Failure != nil {
			t.Errorf("a failure that has passed: %+v, %v", standings, err)
		}
	})
}

// A plan refuses what a run would: a tenant whose down script has stopped midway. Where it stands is told all the same.
func TestAPlanRefusesAHalfRevertedTenant(t *testing.T) {
	url := tenantsURL(t, "fine", "half")
	cfg := config(t, url)
	set := load(t, numbered(2))
	if _, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant); err != nil {
		t.Fatal(err)
	}
	query(t, url, "INSERT INTO schemawave.statement (tenant, migration, ordinal, prefix, existed, failed) VALUES ('half', 'U__2', 0, '', false, false), ('fine', 'U__2', 0, '', false, true)")
	previews, err := postgres.PreviewTenants(t.Context(), cfg, set, everyTenant)
	if err == nil || !strings.Contains(err.Error(), "1 of 2 tenants failed, among them half: version 2 is half reverted") {
		t.Errorf("%v", err)
	}
	isSaid(t, whatCame(previews, func(p postgres.TenantPreview) string { return fmt.Sprint(len(p.Pending)) }), "fine: 0", "half: 0 failed with 65")
	if standings, err := postgres.StatusTenants(t.Context(), cfg, everyTenant); err != nil || len(standings[1].Result.Unfinished) != 1 {
		t.Errorf("%v: %+v", err, standings)
	}
	if report, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant); err == nil || report.Tenants.Current != 1 || report.Tenants.Failed != 1 {
		t.Errorf("%v: %+v", err, report.Tenants)
	}
}

func TestTenantsThatCannotBeMigrated(t *testing.T) {
	url := tenantsURL(t, "edited", "foreign", "good")
	cfg := config(t, url)
	if _, err := postgres.MigrateTenants(t.Context(), cfg, load(t, numbered(2)), everyTenant); err != nil {
		t.Fatal(err)
	}
	query(t, url, "UPDATE schemawave.migration SET name = 'customers' WHERE tenant = 'foreign' AND version = ''; "+
		"UPDATE schemawave.migration SET checksum = 'sha256:other', digest = '' WHERE tenant = 'edited' AND version = '2'")
	all := postgres.Tenants{Names: []string{"edited", "foreign", "good", "nowhere"}}
	standings, err := postgres.StatusTenants(t.Context(), cfg, all)
	if postgres.ExitCode(err) != migrations.ExitConfig || !strings.Contains(err.Error(), "2 of 4 tenants failed") {
		t.Errorf("%v", err)
	}
	isSaid(t, whatCame(standings, stands), "edited: 2 of 2", "foreign: 2 of 2 failed with 78", "good: 2 of 2", "nowhere:  of 0 failed with 78")
	previews, err := postgres.PreviewTenants(t.Context(), cfg, load(t, numbered(3)), all)
	if err == nil || !strings.Contains(err.Error(), "3 of 4 tenants failed, among them edited: 0002_t2.sql") {
		t.Errorf("%v", err)
	}
	isSaid(t, whatCame(previews, func(p postgres.TenantPreview) string { return fmt.Sprint(len(p.Pending)) }),
		"edited: 0 failed with 65", "foreign: 0 failed with 78", "good: 1", "nowhere: 0 failed with 78")
}
