package e2e

import (
	"context"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/events"
)

// several has an Application of two sources with three databases in the same wave, one of which fails. Each has a result of its own.
func several(t *testing.T, s *story.Story) {
	for overlay, databases := range map[string][]string{"bazaar/one": {"carts", "prices"}, "bazaar/two": {"coupons"}} {
		declare(t, s, overlay)
		for _, name := range databases {
			makeDatabase(t, s, name)
			migrate(t, s, overlay, name, name, "1", "CREATE TABLE "+name+" (id bigint);\n")
		}
	}
	migrate(t, s, "bazaar/one", "prices", "prices", "1", "ALTER TABLE nothing ADD COLUMN id bigint;\n")
	revision := push(t, s, "bazaar: three databases")
	create(t, s, newApplication("bazaar", "bazaar/one", "bazaar/two"))

	for _, name := range []string{"carts", "coupons"} {
		state := wantVersion(t, s, name, "1")
		if r := state.Ready; r.Revision != revision+","+revision || r.Application != "argocd/bazaar" || r.Evidence != events.EvidenceReport {
			t.Errorf("%s is ready by %+v, want the commit %s of both sources", name, r, revision)
		}
		wantTold(t, s, "bazaar", "MigrationSucceeded", "staging/"+name+" is at 1")
	}
	var prices events.State
	wantEventually(t, "prices has failed", func(ctx context.Context) bool {
		var err error
		prices, err = s.State(ctx, story.Staging, "prices")
		return err == nil && prices.LastAttempt != nil && prices.LastAttempt.Outcome == events.OutcomeFailed
	})
	if f := prices.LastAttempt.Failure; prices.Ready != nil || f == nil || f.File != "1_prices.sql" || f.SQLState != "42P01" {
		t.Errorf("prices is ready at %+v, and failed for %+v", prices.Ready, f)
	}
	wantTold(t, s, "bazaar", "MigrationFailed", "the migration of staging/prices to 1 failed: 1_prices.sql:1")

	e := explain(t, "bazaar")
	if len(e.Sources) != 2 || !strings.HasSuffix(e.Sources[0], "/shop.git bazaar/one main") || !strings.HasSuffix(e.Sources[1], "/shop.git bazaar/two main") ||
		strings.Count(e.Revision, ",") != 1 {
		t.Errorf("explain names the sources %q at %s", e.Sources, e.Revision)
	}
	if d := explained(t, e, "prices"); !strings.Contains(d.Verdict, prices.Satisfies("1").Reason) || !strings.Contains(d.Verdict, "1_prices.sql:1") || len(d.Jobs) != 1 {
		t.Errorf("explain says of prices: %+v", d)
	}
	if d := explained(t, e, "coupons"); d.Verdict != "staging/coupons is at 1" || len(d.Jobs) != 1 || len(d.Facts) > 0 {
		t.Errorf("explain says of coupons: %+v", d)
	}

	write(t, s, "bazaar/one/prices/1_prices.sql", "CREATE TABLE prices (id bigint);\n")
	push(t, s, "bazaar: mend the prices")
	wantVersion(t, s, "prices", "1")
	for _, name := range []string{"carts", "coupons"} {
		if n := countEvents(t, s, story.Staging, name, "1"); n[events.Succeeded] != 1 || n[events.Failed] != 0 {
			t.Errorf("of %s was told: %v, want that it succeeded, once", name, n)
		}
	}
}

// shared has a second Application call a database like one of the first. It is another database, so nothing is told of it, until the
// name is free.
func shared(t *testing.T, s *story.Story) {
	declare(t, s, "twin")
	url := makeDatabase(t, s, "twin")
	migrate(t, s, "twin", "carts", "twin", "1", "CREATE TABLE other (id bigint);\n")
	migrate(t, s, "twin", "carts", "twin", "2", "CREATE TABLE more (id bigint);\n")
	push(t, s, "twin: its own carts")
	create(t, s, newApplication("twin", "twin"))

	wantTold(t, s, "twin", "MigrationDatabaseTaken", "argocd/twin has a database of this name too, which belongs to argocd/bazaar")
	wantEventually(t, "the migrations of twin ran", func(ctx context.Context) bool {
		rows, err := story.Ledger(ctx, url)
		return err == nil && len(rows) == 2
	})
	wantEventually(t, "explain says whose the name is", func(context.Context) bool {
		d := explained(t, explain(t, "twin"), "carts")
		return strings.Contains(strings.Join(d.Doubts, "\n"), "which belongs to argocd/bazaar") && len(d.Facts) == 0
	})
	state, err := s.State(t.Context(), story.Staging, "carts")
	if err != nil || state.Ready.Version != "1" || state.Ready.Application != "argocd/bazaar" || state.LastAttempt.Application != "argocd/bazaar" {
		t.Errorf("ready is %+v after %+v (%v), want nothing of another Application's database", state.Ready, state.LastAttempt, err)
	}

	owner, err := s.Cluster.Application(t.Context(), "bazaar")
	if err == nil {
		err = s.Cluster.Delete(t.Context(), owner, client.PropagationPolicy("Background"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if state := wantVersion(t, s, "carts", "2"); state.Ready.Application != "argocd/twin" {
		t.Errorf("ready is %+v, want that of the one Application that is left", state.Ready)
	}
}
