package controller_test

import (
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/migrations"
)

// TestExplain explains an Application of a real API server as the controller that runs beside it sees it.
func TestExplain(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	start(c, n, "one", nil)
	a := c.application("orders", overlay)
	key := types.NamespacedName{Namespace: c.apps, Name: "orders"}
	o := controller.Options{Config: c.config, ApplicationNamespaces: []string{c.apps}, JobNamespaces: []string{c.home}}

	c.migrate(a, c.release(1, env), migrations.OutcomeSucceeded, "1")
	c.reject(a, c.release(2, env))
	n.expect("started@1", "succeeded@1", "started@2", "failed@2")

	e, err := controller.Explain(t.Context(), o, n.publisher(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Databases) != 1 {
		t.Fatalf("%d databases:\n%s", len(e.Databases), e)
	}
	d := e.Databases[0]
	if d.Verdict != d.Standing || len(d.Facts) > 0 || !strings.Contains(d.Verdict, "0002_step.sql:12:3: ") || !strings.Contains(d.Verdict, "drop the column first") {
		t.Errorf("once all is published, the verdict is what is published, with file, line and remedy; got\n%s", e)
	}
	failed := func(j controller.JobFact) bool {
		return j.Phase == "failed" && j.Report != nil && j.Report.Failure != nil
	}
	if !slices.ContainsFunc(d.Jobs, failed) {
		t.Errorf("no failed Job shows its Pod's report:\n%s", e)
	}

	blind, err := controller.Explain(t.Context(), o, nil, key)
	if err != nil {
		t.Fatal(err)
	}
	if d := blind.Databases[0]; d.Known || d.Standing != "" || !strings.Contains(d.Verdict, "drop the column first") {
		t.Errorf("without NATS the cluster alone gives the verdict; got\n%s", blind)
	}

	key.Name = "missing"
	if _, err := controller.Explain(t.Context(), o, nil, key); !apierrors.IsNotFound(err) {
		t.Errorf("of an Application that is not there: %v", err)
	}
	o.Config = rest.CopyConfig(c.config)
	o.Config.Impersonate.UserName = "nobody"
	if _, err := controller.Explain(t.Context(), o, nil, key); !apierrors.IsForbidden(err) {
		t.Errorf("without rights: %v", err)
	}
}
