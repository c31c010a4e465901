package postgres_test

import (
	"sync"
	"testing"
)

// A network that lets no connection live long delays a run, and does not keep it from its end.
func TestCutAgainAndAgain(t *testing.T) {
	bench := &crashBench{set: load(t, crashFiles()), root: onDisk(t, crashFiles())}
	bench.undisturbed(t)
	var wg sync.WaitGroup
	for _, kind := range []crashKind{
		{name: "cut again and again", act: func(_ *crash, r *relay) { cut(r) }},
		{name: "terminate again and again", act: func(c *crash, r *relay) { c.signal(r, "pg_terminate_backend") }},
	} {
		for _, n := range []int{150, 160, 180, 220, 320} { // the server's messages on each connection; it takes up to 100 to ask for the ledger
			c := &crash{crashBench: bench, t: t, kind: kind, at: moment{fromServer: true, number: n}, again: true, db: freshURL(t)}
			wg.Go(func() {
				defer dropDatabase(t, c.db)
				if _, succeeded := c.run(); !succeeded {
					t.Errorf("%s: it did not carry on by itself", c)
				}
			})
		}
	}
	wg.Wait()
}
