package environment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Pauses of a writer.
const (
	minPause   = time.Second / 4 // between two passes, however often it is woken: a flood of webhooks is not passed on
	firstRetry = 2 * time.Second // after a failed pass; doubled each time
	maxRetry   = 5 * time.Minute
)

// writer keeps one branch of one repository rendered. All but wake is for its own goroutine.
type writer struct {
	repo    Repository
	dir     string
	author  Author
	signing Signing
	list    Lister
	render  RendererAt
	refresh *refresher
	report  func(Report)

	announcer *announcer
	metrics   *metrics
	log       *slog.Logger
	woken     chan struct{} // holds one wake-up: more change nothing

	api      hostAPI // nil: git alone is spoken
	remote   *remote
	clone    *clone
	checkout *checkout
	sources  *sources
	overlays map[string]bool   // those of the checkout
	gated    bool              // a file annotates workloads to wait for a schema, or has since the clone was made
	done     plumbing.Hash     // the tip the last finished pass left; zero: none since the start
	failed   map[string]string // overlays that could not be rendered, and why
	held     map[string]bool   // overlays left alone because a person undid what was rendered
	pending  map[string]bool   // overlays that a pull request is about
	proposed plumbing.Hash     // where the last finished pass left the branch of the pull request
}

// wake asks for a pass. It never blocks.
func (w *writer) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// run makes passes until ctx is done.
func (w *writer) run(ctx context.Context) {
	defer w.forget()
	retry, failing := firstRetry, false
	for {
		started := time.Now()
		rep := w.pass(ctx)
		if ctx.Err() != nil {
			return
		}
		w.tell(rep, time.Since(started))
		least, pause := w.pauses(rep.Err, retry)
		if rep.Err != nil {
			w.log.Warn("pass failed", "err", rep.Err, "reason", reasonOf(rep.Err), "retry_in", pause.Round(time.Millisecond))
			retry = min(2*retry, maxRetry)
		} else if retry = firstRetry; failing {
			w.log.Info("healed")
		}
		failing = rep.Err != nil
		if !w.sleep(ctx, least, pause) {
			return
		}
	}
}

// pauses returns how long to wait after a pass: the least if woken, and else the most.
func (w *writer) pauses(err error, retry time.Duration) (least, most time.Duration) {
	if err == nil {
		every, _ := w.repo.every() // Validate has read it
		return minPause, vary(every, 0.1)
	}
	least = max(minPause, restOf(err))
	return least, max(least, vary(retry, 0.3))
}

// sleep waits at least the minimum and then for a wake-up or the end of the pause. It reports false when ctx is done.
func (w *writer) sleep(ctx context.Context, minimum, pause time.Duration) bool {
	timer := time.NewTimer(minimum)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	timer.Reset(max(0, pause-minimum))
	select {
	case <-ctx.Done():
		return false
	case <-w.woken:
	case <-timer.C:
	}
	return true
}

// vary spreads a duration by up to a part of it to either side.
func vary(d time.Duration, part float64) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)*part*float64(d))
}

// prepare makes an empty clone and checkout where there is none, or where the clone has collected too many packs or half of one.
func (w *writer) prepare() error {
	if w.clone != nil && w.clone.packs < maxPacks && !w.clone.torn {
		return nil
	}
	w.forget()
	var err error
	if w.remote, err = newRemote(w.repo); err != nil {
		return err
	}
	if w.clone, err = newClone(filepath.Join(w.dir, "git")); err != nil {
		return err
	}
	if w.checkout, err = newCheckout(filepath.Join(w.dir, "tree")); err != nil {
		return err
	}
	w.sources, w.overlays, w.gated = newSources(), nil, false
	return nil
}

// forget drops the clone, so that the next pass starts from nothing.
func (w *writer) forget() {
	if w.remote != nil {
		w.remote.dialer.close()
	}
	if w.clone != nil {
		w.warn(w.clone.close())
	}
	if w.checkout != nil {
		w.warn(w.checkout.close())
	}
	w.remote, w.clone, w.checkout, w.sources, w.overlays = nil, nil, nil, nil, nil
	w.done = plumbing.ZeroHash
}

func (w *writer) warn(err error) {
	if err != nil {
		w.log.Warn("clean up", "err", err)
	}
}

// tell reports a pass to whom it concerns.
func (w *writer) tell(rep Report, took time.Duration) {
	w.metrics.pass(w.repo, rep, took)
	w.announcer.take(rep)
	if w.report != nil && (rep.Result != Unchanged) {
		w.report(rep)
	}
}

// fault makes sure that an error has a class, and that a clone in an unknown state is not used again.
func (w *writer) fault(err error) error {
	var f *Fault
	if errors.As(err, &f) || errors.Is(err, context.Canceled) {
		return err
	}
	w.forget()
	return &Fault{FaultInternal, fmt.Errorf("%w: the clone is made anew", err)}
}
