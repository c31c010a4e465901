package environment

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Notice is that rendering began to fail, or no longer does.
type Notice struct {
	Repository string // its URL
	Branch     string
	Overlay    string // empty: the whole repository
	Failed     bool
	Text       string
}

// AnnounceFunc tells people a Notice where they look. It is called once for each change, beside the passes.
type AnnounceFunc func(ctx context.Context, n Notice) error

// announcer says beside the passes how they end, with a commit's status and an AnnounceFunc, and only what has changed.
// Neither a slow nor a failing host holds up a pass.
type announcer struct {
	api      hostAPI // nil: no statuses
	announce AnnounceFunc
	repo     Repository
	log      *slog.Logger
	woken    chan struct{}

	// What was taken from the passes so far; for the writer's goroutine.
	broken  map[string]string // overlays
	fault   FaultReason       // of the repository; empty: none
	posted  string            // what the newest status says, and of which commit; empty: unknown since the start
	failing bool              // whether it says failed

	mu      sync.Mutex
	status  status
	commits []string // that are to have it
	notices []Notice
}

func newAnnouncer(api hostAPI, announce AnnounceFunc, repo Repository, log *slog.Logger) *announcer {
	return &announcer{api: api, announce: announce, repo: repo, log: log, woken: make(chan struct{}, 1), broken: map[string]string{}}
}

// take looks at a pass for what has changed. It never blocks.
func (a *announcer) take(rep Report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.note(rep)
	a.judge(rep)
	if len(a.notices) == 0 && len(a.commits) == 0 {
		return
	}
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// note makes notices.
func (a *announcer) note(rep Report) {
	add := func(overlay string, failed bool, text string) {
		if a.announce != nil {
			a.notices = append(a.notices, Notice{rep.Repository, rep.Branch, overlay, failed, text})
		}
	}
	if rep.Err != nil {
		if reason := reasonOf(rep.Err); reason != a.fault {
			a.fault = reason
			add("", true, "the repository cannot be rendered: "+rep.Err.Error())
		}
		return
	}
	if a.fault != "" {
		a.fault = ""
		add("", false, "the repository is rendered again")
	}
	for _, overlay := range slices.Sorted(maps.Keys(rep.Broken)) {
		if why := rep.Broken[overlay]; a.broken[overlay] != why {
			add(overlay, true, "the overlay cannot be rendered: "+why)
		}
	}
	for _, overlay := range slices.Sorted(maps.Keys(a.broken)) {
		if rep.Broken[overlay] == "" {
			add(overlay, false, "the overlay is rendered again")
		}
	}
	a.broken = maps.Clone(rep.Broken)
}

// judge makes the status of the commit that was looked at, and of the one that was made of it. A host that does not answer
// says nothing about a commit.
func (a *announcer) judge(rep Report) {
	reason := reasonOf(rep.Err)
	if a.api == nil || rep.Source == "" || rep.Err != nil && (reason == FaultUnreachable || reason == FaultContended) {
		return
	}
	s := status{name: "schemawave/" + rep.Branch, text: "the migrations of all overlays are rendered"}
	if rep.Err != nil {
		s.failed, s.text = true, rep.Err.Error()
	} else if len(rep.Broken) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(rep.Broken)))
		s.failed, s.text = true, rep.Broken[first]
		if more := len(rep.Broken) - 1; more > 0 {
			s.text = fmt.Sprintf("%d overlays cannot be rendered; the first: %s", more+1, s.text)
		}
	}
	tip := rep.Source // of the branch, after the pass
	if rep.Result == Pushed {
		tip = rep.Commit
	}
	says := tip + " " + s.text
	if a.posted == says || a.posted != "" && !a.failing && !s.failed {
		return
	}
	a.posted, a.failing = says, s.failed
	a.status, a.commits = s, []string{rep.Source}
	if rep.Commit != "" {
		a.commits = append(a.commits, rep.Commit)
	}
}

// run announces until ctx is done. A status that cannot be set is tried again with growing pauses, which no notice waits for.
func (a *announcer) run(ctx context.Context) {
	var again <-chan time.Time // nil: no status waits
	retry := firstRetry
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.woken:
			a.tell(ctx)
			if again != nil {
				continue
			}
		case <-again:
		}
		if a.post(ctx) {
			again, retry = nil, firstRetry
			continue
		}
		again = time.After(vary(retry, 0.3))
		retry = min(2*retry, maxRetry)
	}
}

// tell passes the notices on. One that cannot be is in the log, as all of them are.
func (a *announcer) tell(ctx context.Context) {
	a.mu.Lock()
	notices := a.notices
	a.notices = nil
	a.mu.Unlock()
	for _, n := range notices {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		if err := a.announce(ctx, n); err != nil {
			a.log.Warn("not announced", "overlay", n.Overlay, "text", n.Text, "err", err)
		}
		cancel()
	}
}

// post sets the newest status and reports whether nothing is left to do. What a token has no right to is not tried again.
func (a *announcer) post(ctx context.Context) bool {
	a.mu.Lock()
	s, commits := a.status, a.commits
	a.mu.Unlock()
	for _, commit := range commits {
		err := a.api.setStatus(ctx, commit, s)
		if ctx.Err() != nil {
			return true
		}
		if err != nil {
			a.log.Warn("commit status not set", "commit", commit, "err", err, "reason", reasonOf(err))
			if reasonOf(err) == FaultUnreachable {
				return false
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	done := slices.Equal(a.commits, commits) && a.status == s
	if done {
		a.commits = nil
	}
	return done
}
