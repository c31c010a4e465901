package controller

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// captures keeps what the world shows for a moment only: the results of an operation, whose slot the next sync overwrites,
// and Jobs and Pods that are deleted. The work queue would collapse such a moment with the next, so the event handlers put
// it here, and the next pass over the database takes it into account and lets it go.
//
// It is bounded: of one database the newest perDatabase captures are kept. What is dropped beyond that is counted; a pass
// that fails for hours (NATS is down) while Jobs come and go is the only way there.
type captures struct {
	mu       sync.Mutex
	next     uint64
	of       map[target][]capture
	overflow prometheus.Counter
}

const perDatabase = 64

// capture is one of an application with one operation that has results, a Job that is gone, or a Pod that is gone.
type capture struct {
	seq uint64
	key string // captures with the same key tell the same; the later one counts

	application *application
	job         *job
	pod         *pod
	owner       types.UID // of the pod
	cluster     string    // of the pod
}

func newCaptures(overflow prometheus.Counter) *captures {
	return &captures{of: map[target][]capture{}, overflow: overflow}
}

// awaits reports whether a capture is still needed, for a Job that has not ended as far as is known: it may go without having been seen to.
func (o observation) awaits(c capture) bool {
	return slices.ContainsFunc(o.Jobs, func(j job) bool {
		said := c.application != nil && c.application.lists(j)
		return !j.finished() && !j.Gone && (said || c.pod != nil && c.of(j))
	})
}

// of reports whether a pod that is gone was one of a Job's.
func (c capture) of(j job) bool { return c.owner == j.UID && c.cluster == j.Cluster }

// put adds a capture.
func (c *captures) put(t target, new capture) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	new.seq = c.next
	kept := c.of[t][:0:0]
	for _, old := range c.of[t] {
		if old.key != new.key {
			kept = append(kept, old)
		}
	}
	kept = append(kept, new)
	if n := len(kept) - perDatabase; n > 0 {
		c.overflow.Add(float64(n))
		kept = kept[n:]
	}
	c.of[t] = kept
}

// peek returns what is captured of a database, oldest first.
func (c *captures) peek(t target) []capture {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[t]
}

// release lets go of captures that a pass has dealt with, but for those that keep says are still needed.
func (c *captures) release(t target, done []capture, keep func(capture) bool) {
	if len(done) == 0 {
		return
	}
	last := done[len(done)-1].seq
	c.mu.Lock()
	defer c.mu.Unlock()
	var kept []capture
	for _, old := range c.of[t] {
		if old.seq > last || keep(old) {
			kept = append(kept, old)
		}
	}
	if len(kept) == 0 {
		delete(c.of, t)
		return
	}
	c.of[t] = kept
}
