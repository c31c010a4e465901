package controller

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// TestResultsAreToldInOrderWithoutTheReport: the watch of Pods is behind by a whole sync, so that the earlier of two results still
// waits for its report when the later one is seen. Both are told, the earlier one first.
func TestResultsAreToldInOrderWithoutTheReport(t *testing.T) {
	complete := func(uid types.UID, version string, ended int, pods ...pod) job {
		d := digest(version)
		return job{
			Key: types.NamespacedName{Namespace: "prod", Name: manifests.ObjectName("orders", version, d)}, UID: uid, Version: migrations.Version(version),
			Digest: d, Hook: true, Created: minute(ended - 1), Started: minute(ended - 1), Ended: minute(ended), Phase: jobComplete, Pods: pods,
		}
	}
	o := observation{Target: target{"prod", "orders"}, Jobs: []job{
		complete("first", "20260101000000", 2, pod{UID: "late"}), complete("second", "20260102000000", 4),
	}}
	var got []string
	for _, p := range decide(o).Publications {
		if p.Event.Predicate == events.Succeeded {
			got = append(got, p.Event.Attempt.Run)
		}
	}
	if len(got) != 2 || got[0] != "first" || got[1] != "second" {
		t.Errorf("told of %q", got)
	}
	o.Jobs = o.Jobs[:1]
	if d := decide(o); len(d.Publications) != 0 {
		t.Errorf("the report is not waited for: %+v", d.Publications)
	}
}
