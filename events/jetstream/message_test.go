package jetstream

import (
	"testing"
	"time"
)

func TestWhichMessageIsNewer(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, c := range []struct {
		reason   string
		old, new stored
		want     bool
	}{
		{"anything after nothing", stored{}, stored{revision: 1}, true},
		{"the next one", stored{revision: 4, at: early}, stored{revision: 5, at: late}, true},
		{"the next one of a leader whose clock is behind", stored{revision: 4, at: late}, stored{revision: 5, at: early}, true},
		{"the same one, read again", stored{revision: 4, at: early}, stored{revision: 4, at: early}, false},
		{"an earlier one, from a replica that lags", stored{revision: 5, at: late}, stored{revision: 4, at: early}, false},
		{"the first one of a stream made anew", stored{revision: 5, at: early}, stored{revision: 1, at: late}, true},
		{"the first one of a stream made anew, after its first", stored{revision: 1, at: early}, stored{revision: 1, at: late}, true},
		{"an earlier one without a time", stored{revision: 5, at: late}, stored{revision: 4}, false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			if got := c.new.newerThan(c.old); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
