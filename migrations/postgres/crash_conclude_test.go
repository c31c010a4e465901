package postgres_test

import (
	"bytes"
	"testing"
)

// A run whose connection breaks just when its end is recorded succeeds all the same, and its entry in the list of runs says so.
func TestTheEndOfARunIsRecordedAfterTheConnectionBroke(t *testing.T) {
	for name, after := range map[string]bool{"not sent": false, "sent and not acknowledged": true} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			broken := false
			w := &wire{breakAfter: after, breakAt: func(b []byte) bool {
				now := !broken && bytes.Contains(b, []byte(`"run" SET finished`))
				broken = broken || now
				return now
			}}
			w.tap(&cfg)
			migrate(t, cfg, load(t, numbered(3)))
			if !broken {
				t.Fatal("the connection did not break")
			}
			if got := query(t, url, "SELECT outcome, finished IS NOT NULL, count(duration) FROM schemawave.run JOIN schemawave.migration m ON m.run = id GROUP BY 1, 2"); len(got) != 1 || got[0] != "succeeded|t|3" {
				t.Errorf("runs: %v", got)
			}
		})
	}
}
