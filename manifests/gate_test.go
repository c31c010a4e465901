package manifests_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/manifests"
)

// TestJobWaits holds a migration back until the schemas of other Applications are ready, for as long as it may take itself.
func TestJobWaits(t *testing.T) {
	in := input(t, twoMigrations())
	plain := jobOf(t, build(t, in))
	in.Image = "mirror.example.com/runner:1"
	in.Migration.Policy.Deadline = new(10 * time.Minute)
	in.Migration.DependsOn = []string{"stock", "production/customers@0007", "eu/stock@latest", "eu/stock/$(NATS_URL)"}
	job := jobOf(t, build(t, in))
	pod := job.Spec.Template.Spec
	if len(pod.InitContainers) != 1 || pod.InitContainers[0].Name != manifests.GateName || pod.InitContainers[0].Image != in.Image {
		t.Fatalf("init containers %+v", pod.InitContainers)
	}
	want := []string{"wait", "--timeout=10m", "--on-failure=wait", "production/customers@7", "eu/stock", "eu/stock/$$(NATS_URL)"} // a tenant's name, not a variable
	if d := cmp.Diff(want, pod.InitContainers[0].Args); d != "" {
		t.Errorf("arguments (-want +got):\n%s", d)
	}
	if got := *job.Spec.ActiveDeadlineSeconds; got != 21*60 {
		t.Errorf("the Job ends after %d s: both the wait and the run take up to 600 s", got)
	}
	if d := cmp.Diff(plain.Spec.PodFailurePolicy, job.Spec.PodFailurePolicy); d != "" {
		t.Errorf("a wait in vain is no failure of this migration (-without +with):\n%s", d)
	}
	broker := manifests.Reference{Kind: "Secret", Name: manifests.BrokerName}
	if refs := manifests.References(job); !slices.Contains(refs, broker) {
		t.Errorf("the Job refers to %v", refs)
	}
}

func TestParseTarget(t *testing.T) {
	for s, want := range map[string]manifests.Target{
		"production/orders":                 {Environment: "production", Database: "orders"},
		"production/orders@20261122093000":  {Environment: "production", Database: "orders", Version: "20261122093000"},
		"production/orders/Acme Inc@1_02":   {},
		"production/orders/Acme@1_02":       {Environment: "production", Database: "orders", Tenant: "Acme", Version: "1.2"},
		"production/orders@latest":          {Environment: "production", Database: "orders"},
		"orders":                            {},
		"production/orders@":                {},
		"production/orders@1@2":             {},
		"Production/orders":                 {},
		"production/orders.eu":              {},
		"production/orders@20261122T093000": {},
	} {
		got, err := manifests.ParseTarget(s)
		if (err != nil) != (want == manifests.Target{}) || err == nil && got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
		if err != nil {
			continue
		}
		if again, err := manifests.ParseTarget(got.String()); err != nil || again != got {
			t.Errorf("%s becomes %s and that %+v, %v", s, got, again, err)
		}
	}
}
