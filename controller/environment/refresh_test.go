package environment

import (
	"context"
	"maps"
	"slices"
	"testing"
)

// refreshing notes what is to be refreshed, and leaves it undone.
func refreshing(o *Options) {
	o.Refresh = func(context.Context, string, string, []string) (int, error) { return 0, nil }
}

// What a push by others changed is refreshed however the branch came to be there, and nothing else.
func TestWhatOthersChangedIsRefreshed(t *testing.T) {
	deploy := map[string]string{"apps/orders/deployment.yaml": "image: orders:2\n"}
	for _, c := range []struct {
		reason string
		azure  bool
		change func(*person)
	}{
		{"one commit", false, func(p *person) { p.commit("deploy", deploy) }},
		{"one commit on Azure DevOps", true, func(p *person) { p.commit("deploy", deploy) }},
		{"more commits than are fetched", false, func(p *person) {
			p.commit("deploy", deploy)
			p.emptyCommits(2 * recentHistory)
		}},
		{"a push by force", false, func(p *person) {
			p.git("commit", "-q", "--amend", "-m", "amended")
			p.commit("deploy", deploy)
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			h := newHost(t)
			p := h.repository("env", shop("orders", "billing"))
			w := start(t, refreshing, h.url("env")).only()
			if err := w.prepare(); err != nil {
				t.Fatal(err)
			}
			w.remote.azure = c.azure
			pass(t, w, Pushed)
			p.pull()
			p.commit("docs", map[string]string{"docs/a.md": "x\n"})
			p.push()
			pass(t, w, Current)
			clear(w.refresh.paths)
			c.change(p)
			p.git("push", "-q", "-f", "origin", "HEAD:main")
			equal(t, "touched", pass(t, w, Current).Touched, []string{"apps/orders"})
			equal(t, "to refresh", slices.Collect(maps.Keys(w.refresh.paths)), []string{"apps/orders"})
		})
	}
}
