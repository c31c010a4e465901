package environment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// tellAll makes a pass, takes it to the announcer and lets that say everything.
func tellAll(t *testing.T, w *writer) Report {
	t.Helper()
	rep := w.pass(context.Background())
	w.announcer.take(rep)
	w.announcer.tell(t.Context())
	w.announcer.post(t.Context())
	return rep
}

func TestStatusOnEveryHost(t *testing.T) {
	for kind := range dialects {
		t.Run(string(kind), func(t *testing.T) {
			f := newForge(t, kind)
			files := shop("orders", "billing")
			files["migrations/orders/0001_init.sql"] = "BROKEN"
			p, url := hosted(t, newHost(t), kind, files)
			w := start(t, f.host, url).only()

			rep := tellAll(t, w)
			const failed = " schemawave/main: failed: migrations/orders/0001_init.sql:1: syntax error"
			want := []string{rep.Source + failed, rep.Commit + failed}
			equal(t, "a broken overlay", f.said(), want)
			tellAll(t, w)
			equal(t, "nothing new", f.said(), want)

			p.pull()
			p.commit("mend", map[string]string{"migrations/orders/0001_init.sql": "x\n"})
			p.push()
			rep = tellAll(t, w)
			const ok = " schemawave/main: ok: the migrations of all overlays are rendered"
			want = append(want, rep.Source+ok, rep.Commit+ok)
			equal(t, "mended", f.said(), want)
			p.pull()
			p.commit("elsewhere", map[string]string{"README.md": "x\n"})
			p.push()
			tellAll(t, w)
			equal(t, "still well", f.said(), want)
		})
	}
}

// A status is short, names how many, and a commit that mends nothing has one too.
func TestStatusOfManyBrokenOverlays(t *testing.T) {
	f := newForge(t, GitHub)
	long := strings.Repeat("long/", 40)
	files := shop("orders", "billing")
	files["migrations/orders/"+long+"1.sql"], files["migrations/billing/"+long+"1.sql"] = "BROKEN", "BROKEN"
	p, url := hosted(t, newHost(t), GitHub, files)
	w := start(t, f.host, url).only()
	tellAll(t, w)
	p.commit("elsewhere", map[string]string{"README.md": "x\n"})
	p.push()
	rep := tellAll(t, w)
	said := f.said()
	if len(said) != 2 || !strings.HasPrefix(said[1], rep.Source+" schemawave/main: failed: 2 overlays cannot be rendered; the first: migrations/billing/") {
		t.Errorf("%q", said)
	}
}

// The API of statuses holds up no pass, and what it missed is made up for.
func TestStatusAPIThatIsAway(t *testing.T) {
	f := newForge(t, GitHub)
	p, url := hosted(t, newHost(t), GitHub, shop("orders"))
	f.down = true
	w := start(t, f.host, url).only()
	w.announcer.take(pass(t, w, Pushed))
	if w.announcer.post(t.Context()) {
		t.Error("a status that was not set counts as set")
	}
	p.pull()
	p.commit("break", map[string]string{"migrations/orders/0001_init.sql": "BROKEN"})
	p.push()
	rep := pass(t, w, Current)
	w.announcer.take(rep)
	f.down = false
	if !w.announcer.post(t.Context()) {
		t.Error("something is left to do")
	}
	if said := f.said(); len(said) != 1 || !strings.HasPrefix(said[0], rep.Source+" schemawave/main: failed: ") {
		t.Errorf("%q, want the newest only", said)
	}
}

func TestNotices(t *testing.T) {
	h := newHost(t)
	files := shop("orders", "billing")
	files["migrations/orders/0001_init.sql"] = "BROKEN"
	p := h.repository("env", files)
	var mu sync.Mutex
	var said []string
	c := start(t, func(o *Options) {
		o.Announce = func(_ context.Context, n Notice) error {
			mu.Lock()
			defer mu.Unlock()
			text, _, _ := strings.Cut(n.Text, ": fetch")
			said = append(said, fmt.Sprintf("%s %v %s", n.Overlay, n.Failed, text))
			return fmt.Errorf("nobody listens") // and it is not said again
		}
	}, h.url("env"))
	w := c.only()
	expect := func(what string, want ...string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		equal(t, what, said, want)
		said = nil
	}
	tellAll(t, w)
	tellAll(t, w)
	expect("broken", "apps/orders true the overlay cannot be rendered: migrations/orders/0001_init.sql:1: syntax error")
	h.down()
	tellAll(t, w)
	tellAll(t, w)
	expect("away", " true the repository cannot be rendered")
	h.up()
	p.pull()
	p.commit("mend", map[string]string{"migrations/orders/0001_init.sql": "x\n"})
	p.push()
	tellAll(t, w)
	tellAll(t, w)
	expect("back and mended", " false the repository is rendered again", "apps/orders false the overlay is rendered again")

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	p.pull()
	p.commit("break", map[string]string{"migrations/billing/0001_init.sql": "BROKEN"})
	p.push()
	w.wake()
	eventually(t, "a running controller announces", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "apps/billing true ") })
	})
}

// statuses is a host's API of which only statuses are asked for.
type statuses struct {
	hostAPI
	set func(commit string) error
}

func (s statuses) setStatus(_ context.Context, commit string, _ status) error { return s.set(commit) }

// Statuses that cannot be set do not hold up notices.
func TestNoticesWhileTheStatusAPIIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set, told []string
		var tries atomic.Int64
		var back atomic.Bool
		api := statuses{set: func(commit string) error {
			if tries.Add(1); !back.Load() {
				return &Fault{Reason: FaultUnreachable, Err: errors.New("away")}
			}
			set = append(set, commit)
			return nil
		}}
		a := newAnnouncer(api, func(_ context.Context, n Notice) error {
			told = append(told, n.Overlay)
			return nil
		}, Repository{}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go a.run(ctx)
		a.take(Report{Source: "first"})
		synctest.Wait()
		broken := map[string]string{}
		for _, overlay := range []string{"a", "b", "c"} {
			broken[overlay] = "why"
			a.take(Report{Source: "of " + overlay, Broken: broken})
			synctest.Wait()
		}
		equal(t, "told", told, []string{"a", "b", "c"})
		if n := tries.Load(); n != 1 {
			t.Errorf("%d tries at once", n)
		}
		back.Store(true)
		time.Sleep(2 * firstRetry)
		synctest.Wait()
		equal(t, "set", set, []string{"of c"})
	})
}
