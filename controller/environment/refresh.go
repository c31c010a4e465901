package environment

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// RefreshFunc asks Argo CD to look at the Applications of these paths now, and returns how many it found.
type RefreshFunc func(ctx context.Context, repoURL, branch string, paths []string) (int, error)

// refreshFor bounds how long a failing refresh is tried again: by then Argo CD has polled by itself.
const refreshFor = 3 * time.Minute

// refresher calls a RefreshFunc beside the passes, so that neither its slowness nor its failure holds up a push.
type refresher struct {
	do    RefreshFunc
	repo  Repository
	log   *slog.Logger
	woken chan struct{}

	mu    sync.Mutex
	paths map[string]time.Time // to refresh, and since when
}

func newRefresher(do RefreshFunc, repo Repository, log *slog.Logger) *refresher {
	return &refresher{do: do, repo: repo, log: log, woken: make(chan struct{}, 1), paths: map[string]time.Time{}}
}

// ask adds paths to refresh. It never blocks.
func (r *refresher) ask(paths []string) {
	if r.do == nil || len(paths) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range paths {
		r.paths[p] = time.Now()
	}
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// run refreshes until ctx is done.
func (r *refresher) run(ctx context.Context) {
	retry := firstRetry
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.woken:
		}
		for !r.once(ctx) {
			if !pauseFor(ctx, vary(retry, 0.3)) {
				return
			}
			retry = min(2*retry, time.Minute)
		}
		retry = firstRetry
	}
}

// once refreshes what was asked for and reports whether nothing is left to do.
func (r *refresher) once(ctx context.Context) bool {
	r.mu.Lock()
	asked := maps.Clone(r.paths)
	r.mu.Unlock()
	paths := slices.Sorted(maps.Keys(asked))
	if len(paths) == 0 {
		return true
	}
	n, err := r.do(ctx, r.repo.URL, r.repo.Branch, paths)
	if err == nil {
		r.log.Info("refreshed", "applications", n, "paths", len(paths))
	} else {
		r.log.Warn("refresh failed", "err", err, "paths", len(paths))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, since := range asked {
		late := time.Since(since) > refreshFor
		if (err == nil || late) && r.paths[p] == since {
			delete(r.paths, p)
		}
	}
	return len(r.paths) == 0
}
