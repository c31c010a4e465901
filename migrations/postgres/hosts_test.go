package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// Of several hosts, target_session_attrs finds the one that can be written to. Without it, the first that answers has to do, and
// says what is the matter.
func TestSeveralHosts(t *testing.T) {
	readOnly, err := postgrestest.Start(t.Context(), postgrestest.Options{Settings: map[string]string{"default_transaction_read_only": "on"}})
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Stop()
	url := freshURL(t)
	name := databaseName(t, url)
	query(t, readOnly.URL("postgres")+"&default_transaction_read_only=off", "CREATE DATABASE "+name)
	both := fmt.Sprintf("postgres://postgres@127.0.0.1:1,%s,%s/%s?sslmode=disable", readOnly.Address(), server.Address(), name)
	for attrs, code := range map[string]migrations.ExitCode{
		"read-write": migrations.ExitDone, "primary": migrations.ExitUnreachable, "any": migrations.ExitUnreachable, "standby": migrations.ExitUnreachable,
	} {
		cfg := config(t, both+"&target_session_attrs="+attrs)
		cfg.Retries = 1
		_, err := postgres.Migrate(t.Context(), cfg, load(t, numbered(3)))
		if postgres.ExitCode(err) != code {
			t.Errorf("%s: exit %d, want %d: %v", attrs, postgres.ExitCode(err), code, err)
		}
		t.Logf("%s: %v", attrs, err)
		if code != migrations.ExitDone && attrs != "standby" && !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s: %v", attrs, err)
		}
	}
	if got := query(t, url, "SELECT count(*) FROM schemawave.migration"); got[0] != "4" {
		t.Errorf("%s rows in the ledger", got[0])
	}
}
