package postgres_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// tenantsURL creates a database with a schema for each tenant and a table that lists them.
func tenantsURL(t *testing.T, names ...string) string {
	t.Helper()
	url := freshURL(t)
	query(t, url, "CREATE TABLE tenants (name text)")
	for _, name := range names {
		query(t, url, fmt.Sprintf("CREATE SCHEMA %q; INSERT INTO tenants VALUES ('%s')", name, name))
	}
	return url
}

var everyTenant = postgres.Tenants{Query: "SELECT name FROM tenants;", Parallel: 3}

// byTenant is the versions applied to each tenant, in the order of application.
func byTenant(t *testing.T, url string) []string {
	t.Helper()
	return query(t, url, "SELECT tenant || ' ' || string_agg(version, ',' ORDER BY applied_at) FROM schemawave.migration WHERE version <> '' GROUP BY tenant ORDER BY tenant")
}

func TestEachTenantHasItsOwnSchemaAndHistory(t *testing.T) {
	url := tenantsURL(t, "north", "South West", "east")
	cfg := config(t, url)
	set := load(t, files("1_a.sql", "CREATE TABLE a AS SELECT current_schema() AS owner;", "2_i.sql", "CREATE INDEX CONCURRENTLY i ON a (owner);",
		"3_s.sql", "-- schemawave: no-transaction\nSET work_mem TO '5MB';\nCREATE INDEX CONCURRENTLY j ON a (owner);\nCREATE TABLE b AS SELECT current_schema() AS owner;"))
	report, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant)
	if err != nil {
		t.Fatal(err)
	}
	if report.Outcome != migrations.OutcomeSucceeded || report.From != "" || report.To != "3" || report.Count != 9 || report.Digest != set.Digest() || report.Tenants.Succeeded != 3 {
		t.Errorf("%+v", report)
	}
	if got := byTenant(t, url); !slices.Equal(got, []string{"South West 1,2,3", "east 1,2,3", "north 1,2,3"}) {
		t.Errorf("history: %q", got)
	}
	for _, table := range []string{"a", "b"} {
		got := query(t, url, fmt.Sprintf(`SELECT owner FROM north.%[1]s UNION ALL SELECT owner FROM east.%[1]s UNION ALL SELECT owner FROM "South West".%[1]s`, table))
		if !slices.Equal(got, []string{"north", "east", "South West"}) {
			t.Errorf("%s: made in %q", table, got)
		}
	}
	query(t, url, "CREATE SCHEMA late; INSERT INTO tenants VALUES ('late')")
	if report, err = postgres.MigrateTenants(t.Context(), cfg, set, everyTenant); err != nil || report.Count != 3 || report.From != "" || report.Tenants.Current != 3 || report.Tenants.Results[0].Tenant != "late" {
		t.Errorf("a tenant that comes later: %v: %+v", err, report)
	}
}

func TestManyTenantsWithNothingToDoAreTwoQueries(t *testing.T) {
	names := make([]string, 40)
	for i := range names {
		names[i] = fmt.Sprintf("t%02d", i)
	}
	cfg := config(t, tenantsURL(t, names...))
	set := load(t, files("V1__a.sql", "CREATE TABLE a (id int)", "R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT id FROM a"))
	if report, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant); err != nil || report.Count != 80 {
		t.Fatalf("%v: %+v", err, report)
	}
	var w wire
	w.tap(&cfg)
	report, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant)
	dials, _, queries := w.counts()
	if err != nil || report.Outcome != migrations.OutcomeCurrent || report.Tenants.Current != 40 || report.To != "1" {
		t.Errorf("%v: %+v", err, report)
	}
	if dials != 1 || queries > 4 { // the tenants' query between BEGIN and ROLLBACK, and ours
		t.Errorf("%d connections, %d queries", dials, queries)
	}
}

// One tenant's failure is its own; mending it lets the next run finish what is left and nothing else.
func TestAFailingTenantHoldsUpNoOther(t *testing.T) {
	url := tenantsURL(t, "a", "b", "c", "d")
	query(t, url, "CREATE TABLE b.t2 (there_already int)")
	cfg := config(t, url)
	set := load(t, numbered(3))
	report, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant)
	if postgres.ExitCode(err) != migrations.ExitRejected || !strings.Contains(err.Error(), "1 of 4 tenants") || !strings.Contains(err.Error(), "b: ") {
		t.Errorf("%v", err)
	}
	if f := report.Failure; f == nil || f.File != "0002_t2.sql" || f.Line != 1 || f.SQLState != "42P07" || !f.Permanent {
		t.Errorf("%+v", f)
	}
	if r := report.Tenants.Results[0]; report.Outcome != migrations.OutcomeFailed || report.To != "1" || r.Tenant != "b" || r.To != "1" || r.Failure == nil || report.Tenants.Succeeded != 3 {
		t.Errorf("%+v", report.Tenants)
	}
	if got := byTenant(t, url); !slices.Equal(got, []string{"a 1,2,3", "b 1", "c 1,2,3", "d 1,2,3"}) {
		t.Errorf("history: %q", got)
	}
	query(t, url, "DROP TABLE b.t2")
	if report, err = postgres.MigrateTenants(t.Context(), cfg, set, everyTenant); err != nil || report.Count != 2 || report.To != "3" || report.Tenants.Current != 3 {
		t.Errorf("after mending: %v: %+v", err, report)
	}
}

func TestTenantsThatCannotBe(t *testing.T) {
	url := tenantsURL(t, "a")
	cfg := config(t, url)
	set := load(t, numbered(1))
	for name, c := range map[string]struct {
		tenants postgres.Tenants
		code    migrations.ExitCode
		says    string
	}{
		"no schema":            {postgres.Tenants{Names: []string{"a", "nowhere"}}, migrations.ExitConfig, "CREATE SCHEMA"},
		"an empty name":        {postgres.Tenants{Query: "SELECT ''"}, migrations.ExitRejected, "empty name"},
		"a name too long":      {postgres.Tenants{Names: []string{strings.Repeat("a", 64)}}, migrations.ExitRejected, "64 bytes"},
		"a wrong query":        {postgres.Tenants{Query: "SELECT name FROM nothing"}, migrations.ExitRejected, "query for tenants"},
		"a query that changes": {postgres.Tenants{Query: "DELETE FROM tenants RETURNING name"}, migrations.ExitUnreachable, "read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			failing := cfg
			failing.Retries = -1
			if _, err := postgres.MigrateTenants(t.Context(), failing, set, c.tenants); postgres.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d: %v", postgres.ExitCode(err), err)
			}
		})
	}
	if report, err := postgres.MigrateTenants(t.Context(), cfg, set, postgres.Tenants{Query: "SELECT name FROM tenants WHERE false"}); err != nil || report.Outcome != migrations.OutcomeCurrent || report.Tenants.Total != 0 {
		t.Errorf("none at all: %v: %+v", err, report)
	}
}

// What docs/operations.md says to do with a tenant that goes lets another one take its name.
func TestATenantThatIsRemovedMayComeAgain(t *testing.T) {
	url := tenantsURL(t, "a", "b")
	cfg := config(t, url)
	set := load(t, files("V1__t.sql", "CREATE TABLE t (id int)", "V2__u.sql", "CREATE TABLE u (id int)", "R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT id FROM t"))
	if _, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant); err != nil {
		t.Fatal(err)
	}
	query(t, url, "BEGIN; DROP SCHEMA a CASCADE; DELETE FROM schemawave.migration WHERE tenant = 'a'; "+
		"DELETE FROM schemawave.repeatable WHERE tenant = 'a'; DELETE FROM schemawave.statement WHERE tenant = 'a'; COMMIT; CREATE SCHEMA a")
	report, err := postgres.MigrateTenants(t.Context(), cfg, set, everyTenant)
	if err != nil || report.Count != 3 || report.Tenants.Current != 1 {
		t.Errorf("%v: %+v", err, report)
	}
	if got := query(t, url, "SELECT to_regclass('a.v') IS NOT NULL"); got[0] != "t" {
		t.Error("the new tenant has not got its schema")
	}
}

func TestRunnersOfTheSameTenantsAtOnce(t *testing.T) {
	url := tenantsURL(t, "a", "b", "c", "d", "e")
	set := load(t, countedFiles(6, 3))
	var wg sync.WaitGroup
	var mu sync.Mutex
	applied := 0
	for range 8 {
		wg.Go(func() {
			report, err := postgres.MigrateTenants(t.Context(), config(t, url), set, everyTenant)
			mu.Lock()
			defer mu.Unlock()
			if applied += report.Count; err != nil {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if want := 5 * len(set.Migrations); applied != want {
		t.Errorf("%d applied, want %d", applied, want)
	}
}

// However many tenants there are, the report fits into a Pod's termination message and names those that failed.
func TestTheReportOfManyTenantsFits(t *testing.T) {
	report := migrations.Report{Format: migrations.ReportFormat, Outcome: migrations.OutcomeFailed, Failure: &migrations.Failure{Message: "x"}, Tenants: &migrations.Tenants{}}
	for i := range 1000 {
		r := migrations.TenantResult{Tenant: fmt.Sprintf("tenant-%d", i), Outcome: migrations.OutcomeCurrent, To: "20261122093000"}
		if i%400 == 1 {
			r.Outcome, r.Failure = migrations.OutcomeFailed, &migrations.Failure{Message: strings.Repeat("long ", 40)}
		}
		report.Tenants.Total++
		report.Tenants.Add(r)
	}
	b, err := report.Encode()
	var decoded migrations.Report
	if err == nil {
		err = json.Unmarshal(b, &decoded)
	}
	if err != nil || len(b) > migrations.MaxReportBytes || decoded.Tenants.Failed != 3 || decoded.Tenants.Results[2].Tenant != "tenant-801" || len(report.Tenants.Results) != 1000 {
		t.Errorf("%v: %d bytes: %s", err, len(b), b)
	}
}

// An application brings up a tenant as a role of its own, which may use the ledger and neither owns nor may make anything in it.
func TestATenantOfARoleThatDoesNotOwnTheLedger(t *testing.T) {
	url := freshURL(t)
	role := "shops_" + databaseName(t, url)
	query(t, url, fmt.Sprintf("CREATE SCHEMA a; CREATE ROLE %[1]s LOGIN; CREATE SCHEMA b AUTHORIZATION %[1]s", role))
	set := load(t, files("1_t.sql", "CREATE TABLE t (id int)", "2_i.sql", "CREATE INDEX CONCURRENTLY i ON t (id)"))
	owner := config(t, url)
	owner.Tenant = "a"
	migrate(t, owner, set)
	other := config(t, url)
	other.Conn.User, other.Tenant = role, "b"
	query(t, url, fmt.Sprintf("GRANT USAGE ON SCHEMA schemawave TO %[1]s; GRANT SELECT ON ALL TABLES IN SCHEMA schemawave TO %[1]s", role))
	if _, err := postgres.Migrate(t.Context(), other, set); postgres.ExitCode(err) != migrations.ExitDenied || !strings.Contains(err.Error(), "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES") {
		t.Errorf("without the right to write: %v", err)
	}
	query(t, url, fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA schemawave TO %s", role))
	if report := migrate(t, other, set); report.Count != 2 {
		t.Errorf("%+v", report)
	}
}

// What comes after the tenant's schema in the search_path is the URL's to say, and not in its options, which would not count.
func TestATenantsSearchPath(t *testing.T) {
	url := tenantsURL(t, "a", "app")
	set := load(t, files("1_path.sql", "CREATE TABLE path AS SELECT current_setting('search_path') AS path"))
	for _, options := range []string{"-c search_path=app", "--Search-Path=app"} {
		cfg := config(t, url)
		cfg.Tenant, cfg.Conn.RuntimeParams["options"] = "a", options
		if _, err := postgres.Migrate(t.Context(), cfg, set); postgres.ExitCode(err) != migrations.ExitConfig || !strings.Contains(err.Error(), "&search_path=app") {
			t.Errorf("%s: %v", options, err)
		}
		cfg.Tenant = ""
		if _, err := postgres.MigrateTenants(t.Context(), cfg, set, postgres.Tenants{Names: []string{"a"}}); postgres.ExitCode(err) != migrations.ExitConfig {
			t.Errorf("%s, of several: %v", options, err)
		}
	}
	cfg := config(t, url+"&search_path=app")
	cfg.Tenant, cfg.Conn.RuntimeParams["options"] = "a", "-c work_mem=5MB"
	migrate(t, cfg, set)
	if got := query(t, url, "SELECT path FROM a.path"); got[0] != `"a", app` {
		t.Errorf("search_path %s", got[0])
	}
}
