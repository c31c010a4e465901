package controller

import (
	"fmt"
	"testing"

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
