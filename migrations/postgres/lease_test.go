package postgres

import (
	"testing"
	"time"
)

// While a machine is suspended, its monotonic clock may stand still; the server's goes on.
func TestALeaseIsOverdueByEitherClock(t *testing.T) {
	var l lease
	if l.renewedAt(time.Now()); l.overdue() {
		t.Error("just renewed")
	}
	if l.wall = l.wall.Add(-leaseTerm); !l.overdue() {
		t.Error("old by the wall clock")
	}
	l.renewedAt(time.Now())
	if l.renewed = l.renewed.Add(-leaseTerm); !l.overdue() {
		t.Error("old by the monotonic clock")
	}
}
