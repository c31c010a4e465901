package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// directAndPooled runs a test against a database with tenants, and once more against one behind a pooler.
func directAndPooled(t *testing.T, tenants []string, test func(t *testing.T, url string, cfg postgres.Config)) {
	t.Run("direct", func(t *testing.T) {
		url := tenantsURL(t, tenants...)
		test(t, url, config(t, url))
	})
	t.Run("pooler", func(t *testing.T) {
		url := tenantsURL(t, tenants...)
		test(t, url, config(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url))))
	})
}

// whatCame is what came of each tenant, one "tenant: result" each.
func whatCame[T any](all []postgres.PerTenant[T], say func(T) string) []string {
	var out []string
	for _, one := range all {
		text := one.Tenant + ": " + say(one.Result)
		if one.Err != nil {
			text += fmt.Sprintf(" failed with %d", postgres.ExitCode(one.Err))
		}
		out = append(out, text)
	}
	return out
}

func isSaid(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestATenantByItself(t *testing.T) {
	directAndPooled(t, []string{"north", "South West"}, func(t *testing.T, url string, cfg postgres.Config) {
		cfg.Tenant = "South West"
		set := load(t, reversible(2))
		if report := migrate(t, cfg, set); report.Count != 2 || report.Tenants != nil {
			t.Errorf("%+v", report)
		}
		isSaid(t, byTenant(t, url), "South West 1,2")
		if history, err := postgres.Status(t.Context(), cfg); err != nil || len(history.Migrations) != 2 {
			t.Errorf("%+v, %v", history, err)
		}
		if _, err := postgres.Down(t.Context(), cfg, "1"); err != nil {
			t.Error(err)
		}
		if got := query(t, url, `SELECT to_regclass('"South West".t1') IS NOT NULL, to_regclass('"South West".t2') IS NULL`); got[0] != "t|t" {
			t.Errorf("after going down: %v", got)
		}
		cfg.Tenant = strings.Repeat("a", 64)
		if _, err := postgres.Status(t.Context(), cfg); postgres.ExitCode(err) != migrations.ExitRejected {
			t.Errorf("a name too long: %v", err)
		}
	})
}

// One that cannot go down holds up no other, and stays as it is.
// Whatever a schema can be named, a tenant can.
func TestATenantMayHaveAnyNameThatASchemaCan(t *testing.T) {
	const name = `$schemawave$ it's "o\dd"; --`
	url := freshURL(t)
	query(t, url, "CREATE SCHEMA "+`"$schemawave$ it's ""o\dd""; --"`)
	cfg := config(t, url)
	cfg.LedgerSchema = `le$schemawave$dger's "own"`
	tenants := postgres.Tenants{Names: []string{name}}
	for _, want := range []migrations.Outcome{migrations.OutcomeSucceeded, migrations.OutcomeCurrent} {
		if report, err := postgres.MigrateTenants(t.Context(), cfg, load(t, numbered(2)), tenants); err != nil || report.Outcome != want {
			t.Errorf("%v: %+v", err, report)
		}
	}
	standings, err := postgres.StatusTenants(t.Context(), cfg, tenants)
	if err != nil {
		t.Fatal(err)
	}
	isSaid(t, whatCame(standings, stands), name+": 2 of 2")
	if previews, err := postgres.PreviewTenants(t.Context(), cfg, load(t, numbered(3)), tenants); err != nil || len(previews[0].Result.Pending) != 1 {
		t.Errorf("%v: %+v", err, previews)
	}
}

func TestTenantsGoDown(t *testing.T) {
	directAndPooled(t, []string{"a", "b", "c"}, func(t *testing.T, url string, cfg postgres.Config) {
		if _, err := postgres.MigrateTenants(t.Context(), cfg, load(t, reversible(2)), everyTenant); err != nil {
			t.Fatal(err)
		}
		query(t, url, "CREATE VIEW b.needed AS SELECT id FROM b.t2")
		went, err := postgres.EachTenant(t.Context(), cfg, everyTenant, func(ctx context.Context, cfg postgres.Config) (postgres.Reverted, error) {
			return postgres.Down(ctx, cfg, "1")
		})
		if postgres.ExitCode(err) != migrations.ExitRejected || !strings.Contains(err.Error(), "1 of 3 tenants failed, among them b: ") {
			t.Errorf("%v", err)
		}
		isSaid(t, whatCame(went, func(r postgres.Reverted) string { return fmt.Sprint(r.Versions) }), "a: [2]", "b: [] failed with 65", "c: [2]")
		isSaid(t, byTenant(t, url), "a 1", "b 1,2", "c 1")
	})
}

// Said again, a baseline finishes what is left and nothing else.
func TestTenantsAreAdopted(t *testing.T) {
	directAndPooled(t, []string{"a", "b", "c"}, func(t *testing.T, url string, cfg postgres.Config) {
		set := load(t, reversible(2))
		b := cfg
		b.Tenant = "b"
		migrate(t, b, set)
		adopt := func() ([]postgres.PerTenant[[]migrations.Version], error) {
			return postgres.EachTenant(t.Context(), cfg, everyTenant, func(ctx context.Context, cfg postgres.Config) ([]migrations.Version, error) {
				return postgres.Baseline(ctx, cfg, set, "1")
			})
		}
		say := func(v []migrations.Version) string { return fmt.Sprint(v) }
		adopted, err := adopt()
		if postgres.ExitCode(err) != migrations.ExitRejected || !strings.Contains(err.Error(), "has a history already") {
			t.Errorf("%v", err)
		}
		isSaid(t, whatCame(adopted, say), "a: [1]", "b: [] failed with 65", "c: [1]")
		if _, err := postgres.Down(t.Context(), b, ""); err != nil {
			t.Fatal(err)
		}
		if adopted, err = adopt(); err != nil {
			t.Errorf("again: %v", err)
		}
		isSaid(t, whatCame(adopted, say), "a: [1]", "b: [1]", "c: [1]")
		isSaid(t, byTenant(t, url), "a 1", "b 1", "c 1")
	})
}

func TestTenantsAreRepaired(t *testing.T) {
	url := tenantsURL(t, "a", "b")
	cfg := config(t, url)
	if _, err := postgres.MigrateTenants(t.Context(), cfg, load(t, numbered(2)), everyTenant); err != nil {
		t.Fatal(err)
	}
	edited := numbered(2)
	edited["0002_t2.sql"].Data = append(edited["0002_t2.sql"].Data, "-- what it is for\n"...)
	set := load(t, edited)
	repaired, err := postgres.EachTenant(t.Context(), cfg, postgres.Tenants{Names: []string{"b", "b"}}, func(ctx context.Context, cfg postgres.Config) ([]postgres.Repaired, error) {
		return postgres.Repair(ctx, cfg, set)
	})
	if err != nil {
		t.Fatal(err)
	}
	isSaid(t, whatCame(repaired, func(r []postgres.Repaired) string { return fmt.Sprint(r) }), "b: [{2 0002_t2.sql [checksum]}]")
	if _, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant); err == nil || !strings.Contains(err.Error(), "1 of 2 tenants failed, among them a: ") {
		t.Errorf("the other one is as it was: %v", err)
	}
}

// A tenant's history is in its own schema. What lies in public is another one's, though the search_path leads there.
func TestTenantsImportTheirOwnHistory(t *testing.T) {
	directAndPooled(t, []string{"a", "b"}, func(t *testing.T, url string, cfg postgres.Config) {
		for _, schema := range []string{"public", "a"} {
			query(t, url, fmt.Sprintf("CREATE TABLE %[1]s.schema_migrations (version bigint, dirty boolean); INSERT INTO %[1]s.schema_migrations VALUES (1, false)", schema))
		}
		set := load(t, reversible(2))
		for range 2 { // the second time there is nothing left to do
			adopted, err := postgres.EachTenant(t.Context(), cfg, everyTenant, func(ctx context.Context, cfg postgres.Config) (postgres.Adoption, error) {
				return postgres.Import(ctx, cfg, set, "")
			})
			if postgres.ExitCode(err) != migrations.ExitConfig || !strings.Contains(err.Error(), `in schema "b"`) {
				t.Errorf("%v", err)
			}
			isSaid(t, whatCame(adopted, func(a postgres.Adoption) string { return fmt.Sprint(a.Table, a.Versions) }), "a: a.schema_migrations[1]", "b: [] failed with 78")
		}
		isSaid(t, byTenant(t, url), "a 1")
	})
}

// What cannot run in a transaction would go to whatever schema a pooler's server session has in its search_path.
func TestAPoolerRefusesATenantsScriptOutOfATransaction(t *testing.T) {
	url := tenantsURL(t, "a")
	direct, through := config(t, url), config(t, pooler(t, postgrestest.PoolerOptions{}).URL(databaseName(t, url)))
	direct.Tenant, through.Tenant = "a", "a"
	migrate(t, direct, load(t, files("1_a.up.sql", "CREATE TABLE a (id int)", "2_i.up.sql", "CREATE INDEX i ON a (id)", "2_i.down.sql", "DROP INDEX CONCURRENTLY i")))
	if reverted, err := postgres.Down(t.Context(), through, "1"); postgres.ExitCode(err) != migrations.ExitConfig || !strings.Contains(err.Error(), "own address") || len(reverted.Versions) > 0 {
		t.Errorf("%+v, %v", reverted, err)
	}
	if _, err := postgres.Down(t.Context(), direct, "1"); err != nil {
		t.Error(err)
	}
}

func TestTheQueryForTenantsHasTheSearchPath(t *testing.T) {
	directAndPooled(t, []string{"a"}, func(t *testing.T, url string, cfg postgres.Config) {
		query(t, url, "CREATE SCHEMA app; ALTER TABLE tenants SET SCHEMA app")
		cfg.Conn.RuntimeParams["search_path"] = "app"
		if standings, err := postgres.StatusTenants(t.Context(), cfg, everyTenant); err != nil || len(standings) != 1 {
			t.Errorf("%+v, %v", standings, err)
		}
	})
}
