package environment

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A writer that cannot work for a day tries again at the longest pause, and never without one.
func TestPausesOfAWriterThatKeepsFailing(t *testing.T) {
	w := start(t, func(o *Options) {
		o.Config.Directory, o.Logger = filepath.Join(put(t, "file", nil), "no directory"), nil
	}, "https://git.example.com/shop/env.git").only()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		w.woken = make(chan struct{}) // of the time of this test
		n, last := 0, time.Now()
		w.report = func(rep Report) {
			if n++; n > 10 {
				if pause := rep.Began.Sub(last); pause < maxRetry*7/10 || pause > maxRetry*13/10 {
					t.Errorf("pause %d is %s", n, pause)
					cancel()
				}
			}
			last = rep.Began
		}
		w.run(ctx)
		if n < 200 {
			t.Errorf("%d passes in a day", n)
		}
	})
}
