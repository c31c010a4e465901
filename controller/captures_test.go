package controller

import (
	"context"
	"fmt"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestCaptures(t *testing.T) {
	overflow := prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})
	c := newCaptures(overflow)
	nothing := func(capture) bool { return false }
	keys := func() (out []string) {
		for _, k := range c.peek(orders) {
			out = append(out, k.key)
		}
		return out
	}
	c.put(orders, capture{key: "a"})
	c.put(orders, capture{key: "b"})
	c.put(orders, capture{key: "a"}) // tells the same anew
	seen := c.peek(orders)
	c.put(orders, capture{key: "c"}) // comes while the pass is under way
	c.release(orders, seen, nothing)
	if got := fmt.Sprint(keys()); got != "[c]" {
		t.Errorf("after release: %s", got)
	}
	c.release(orders, c.peek(orders), func(k capture) bool { return k.key == "c" })
	if got := fmt.Sprint(keys()); got != "[c]" {
		t.Errorf("after a release that keeps: %s", got)
	}
	c.release(orders, c.peek(orders), nothing)
	if len(c.of) != 0 {
		t.Errorf("memory is held: %v", c.of)
	}
	for n := range perDatabase + 3 {
		c.put(orders, capture{key: fmt.Sprint(n)})
	}
	if k := keys(); len(k) != perDatabase || k[0] != "3" {
		t.Errorf("%d captures, the first %s", len(k), k[0])
	}
	var counted dto.Metric
	if err := overflow.Write(&counted); err != nil || counted.Counter.GetValue() != 3 {
		t.Errorf("%v counted, %v", counted.Counter, err)
	}
}

// An operation that is captured for several databases is marked by the pass over each, which may run at the same time.
func TestCapturesShareNoResults(t *testing.T) {
	w := watcher{captures: newCaptures(prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}))}
	o, others := operation{Results: make([]result, 1)}, target{orders.Environment, "others"}
	w.captureOperation(orders, application{}, o, "")
	w.captureOperation(others, application{}, o, "")
	w.peek(orders)[0].application.Operations[0].Results[0].HasJob = true
	if o.Results[0].HasJob || w.peek(others)[0].application.Operations[0].Results[0].HasJob {
		t.Error("a mark for one database shows for another")
	}
}

// A hook that succeeded and then, in another try, is ended with its sync has "Succeeded" twice.
func TestAnEndedHookDoesNotHideItsSuccess(t *testing.T) {
	w := watcher{places: Options{LocalServers: localServers}.places(place{}), hydrations: newHydrations(), captures: newCaptures(prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}))}
	for _, message := range []string{reached, deleted} {
		a := &argo.Application{}
		a.Spec.Destination = argo.ApplicationDestination{Server: localServers[0], Namespace: orders.Environment}
		a.Status.OperationState = &argo.OperationState{Phase: common.OperationRunning, SyncResult: &argo.SyncOperationResult{Resources: argo.ResourceResults{{
			Group: "batch", Kind: "Job", Namespace: orders.Environment, Name: madeJob("1", 0).Key.Name, HookType: common.HookTypePreSync,
			HookPhase: common.OperationSucceeded, Message: message,
		}}}}
		w.captureResults(a)
	}
	if all := w.peek(orders); len(all) != 2 || all[0].application.Operations[0].Results[0].Message != reached {
		t.Errorf("%d captures", len(all))
	}
}

// What was captured while a cluster could be read is looked at as it is once that is lost: nobody can be asked for its Job.
func TestCapturesAreLocatedAnew(t *testing.T) {
	s := newShelf(t, Options{})
	p := Options{LocalServers: localServers}.places(place{cache: s})
	far := map[string]string{farName: farServer}
	p.list(far, []string{farServer}, func(string) bool { return false })
	p.change(func() { p.remote[farServer] = &place{cache: newShelf(t, Options{})} })
	a := &argo.Application{}
	a.Spec.Destination = argo.ApplicationDestination{Name: farName, Namespace: orders.Environment}
	view := newApplication(a, p.of(a.Spec.Destination))
	view.Operations = []operation{{Past: true, Results: []result{{Key: madeJob("1", 0).Key, Hook: true, Readable: true}}}}
	w := world{cluster: s, places: p, stalls: newStalls(), hydrations: newHydrations()}
	p.list(map[string]string{}, nil, nil) // its Secret is gone
	p.change(func() { delete(p.remote, farServer) })
	o, err := w.observe(context.Background(), orders, []capture{{application: &view}})
	if err != nil || len(o.Applications) != 1 {
		t.Fatal(len(o.Applications), err)
	}
	if is := o.Applications[0]; is.Readable || is.Operations[0].Results[0].Readable || is.Cluster != farServer {
		t.Errorf("it is read in %q: %t, %+v", is.Cluster, is.Readable, is.Operations[0].Results[0])
	}
}
