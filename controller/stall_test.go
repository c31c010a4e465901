package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
)

// TestStall ends a recording where a new commit is out of sync and Argo CD does nothing about it, and says nothing: that is told once it
// has had the time to, as what it is.
func TestStall(t *testing.T) {
	waiting := func(a *argo.Application) bool {
		s := a.Status.OperationState
		return s != nil && s.Phase.Completed() && a.Operation == nil && s.SyncResult.Revision != a.Status.Sync.Revision
	}
	deny := argo.SyncWindows{{Kind: "deny", Schedule: "* * * * *", Duration: "24h", Applications: []string{"*"}}}
	for _, c := range []struct {
		name    string
		windows argo.SyncWindows
		change  func(*argo.Application)
		secret  bool
		passed  time.Duration
		want    events.Predicate
	}{
		{"Argo CD may still begin", nil, nil, false, reaction - time.Second, ""},
		{"it had the time to", nil, nil, false, reaction, events.Stuck},
		{"a sync window is closed", deny, nil, false, reaction, events.Blocked},
		{"nobody may say whether a window is", nil, nil, true, reaction, ""},
		{"a person syncs it", nil, func(a *argo.Application) { a.Spec.SyncPolicy = nil }, false, reaction, ""},
		{"it is suspended", nil, func(a *argo.Application) { a.Annotations = map[string]string{skipReconcile: "true"} }, false, reaction, ""},
		{"so it is, in any word for yes", nil, func(a *argo.Application) { a.Annotations = map[string]string{skipReconcile: "True"} }, false, reaction, ""},
		{"a sync is asked for", nil, func(a *argo.Application) { a.Operation = &argo.Operation{} }, false, reaction, ""},
	} {
		for mode, o := range modes {
			t.Run(c.name+"/"+mode, func(t *testing.T) {
				b, s := newBroker(t), newShelf(t, o)
				r := newReplica(t, s, o, b)
				s.windows, s.secret = c.windows, c.secret
				clock := minute(1)
				r.rec.world.stalls.now = func() time.Time { return clock }
				for _, d := range recording(t, "c1-skip-op-in-progress") {
					a, ok := d.object.(*argo.Application)
					last := ok && waiting(a)
					if last && c.change != nil {
						c.change(a)
					}
					r.deliver(d)
					r.work()
					if last {
						break
					}
				}
				result, err := r.rec.Reconcile(t.Context(), target{"c1", "orders"})
				if err != nil {
					t.Fatal(err)
				}
				clock = clock.Add(c.passed)
				if _, err := r.rec.Reconcile(t.Context(), target{"c1", "orders"}); err != nil {
					t.Fatal(err)
				}
				got := events.Predicate("")
				if at := b.slot("c1", "orders").state.Obstacle; at != nil {
					got = at.Kind
				}
				if got != c.want {
					t.Errorf("%q is in the way, want %q; history:\n%s", got, c.want, strings.Join(b.history(), "\n"))
				}
				if c.change == nil && result.RequeueAfter != reaction {
					t.Errorf("looks again after %s", result.RequeueAfter)
				}
			})
		}
	}
}

// TestADeletedApplicationIsForgotten: one that is made anew under its name begins anew, and those that never are leave nothing behind.
func TestADeletedApplicationIsForgotten(t *testing.T) {
	r := newReplica(t, newShelf(t, Options{}), Options{}, newBroker(t))
	a := &argo.Application{}
	a.Namespace, a.Name, a.Status.Sync.Revision = "argocd", "preview", "hydrated"
	hydrateFrom(a)
	r.deliver(delivery{object: a})
	r.watch.stalls.see(client.ObjectKeyFromObject(a), "hydrated")
	if len(r.watch.stalls.of) != 1 || len(r.watch.hydrations.of) != 1 {
		t.Fatalf("remembered are %v and %v", r.watch.stalls.of, r.watch.hydrations.of)
	}
	r.deliver(delivery{object: a, deleted: true})
	if len(r.watch.stalls.of) != 0 || len(r.watch.hydrations.of) != 0 {
		t.Errorf("remembered are still %v and %v", r.watch.stalls.of, r.watch.hydrations.of)
	}
}

// TestAPartIsNoTry: of a commit that a person has synced without its hooks Argo CD thinks it tried, and does not sync the rest by itself.
func TestAPartIsNoTry(t *testing.T) {
	a := &argo.Application{}
	a.Spec.SyncPolicy = &argo.SyncPolicy{Automated: &argo.SyncPolicyAutomated{}}
	for _, c := range []struct {
		name   string
		change func(*operation)
		want   bool
	}{
		{"a whole sync is one", func(*operation) {}, false},
		{"of another commit", func(o *operation) { o.Revision = "old" }, true},
		{"a part", func(o *operation) { o.Partial = true }, true},
		{"without hooks", func(o *operation) { o.Applied = true }, true},
		{"while it goes on", func(o *operation) { o.Partial, o.Finished = true, time.Time{} }, false},
	} {
		view := due("2")
		view.Operations[0].Revision = "new"
		c.change(&view.Operations[0])
		if got := idle(a, view, view.Operations[0]); got != c.want {
			t.Errorf("%s: waits to be synced: %t", c.name, got)
		}
	}
}

// projects answers with one project for all, as it is sent.
type projects struct {
	client.Reader
	spec map[string]any
}

func (p projects) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	switch obj := obj.(type) {
	case *unstructured.Unstructured:
		obj.Object["spec"] = p.spec
		return nil
	case *argo.AppProject:
		return runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"spec": p.spec}, obj)
	}
	return fmt.Errorf("%T was asked for", obj)
}

// TestSyncWindows: whether one is shut for an Application is as Argo CD would have it; Argo CD 3 has windows that must match in all respects.
func TestSyncWindows(t *testing.T) {
	a := &argo.Application{}
	a.Name, a.Spec.Destination = "orders", argo.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: "shop"}
	always := func(kind string, more ...any) map[string]any {
		w := map[string]any{"kind": kind, "schedule": "* * * * *", "duration": "24h"}
		for i := 0; i < len(more); i += 2 {
			w[more[i].(string)] = more[i+1]
		}
		return w
	}
	at := func(schedule string, w map[string]any) map[string]any {
		w["schedule"], w["duration"] = schedule, "1h"
		return w
	}
	farAway := fmt.Sprintf("0 0 1 %d *", (time.Now().Month()+5)%12+1)
	names := func(s ...any) []any { return s }
	for _, c := range []struct {
		name    string
		windows []any
		want    bool
	}{
		{"there is none", nil, false},
		{"one denies the application", names(always("deny", "applications", names("ord*"))), true},
		{"one denies another", names(always("deny", "applications", names("audit"))), false},
		{"in one of two respects", names(always("deny", "applications", names("orders"), "namespaces", names("bank"))), true},
		{"that must match in both", names(always("deny", "applications", names("orders"), "namespaces", names("bank"), "andOperator", true)), false},
		{"and does", names(always("deny", "applications", names("orders"), "namespaces", names("shop"), "andOperator", true)), true},
		{"one that is closed allows it, and one that is open allows what is in another cluster", names(
			at(farAway, always("allow", "applications", names("orders"))), always("allow", "applications", names("orders"), "clusters", names("https://10.0.0.2"), "andOperator", true)), true},
		{"or what is in this one", names(
			at(farAway, always("allow", "applications", names("orders"))), always("allow", "applications", names("orders"), "clusters", names("https://*"), "andOperator", true)), false},
		{"one with an error shuts", names(at("at noon", always("allow", "applications", names("*")))), true},
	} {
		if got, err := windowShut(t.Context(), projects{spec: map[string]any{"syncWindows": c.windows}}, a); err != nil || got != c.want {
			t.Errorf("%s: shut is %t (%v)", c.name, got, err)
		}
	}
}
