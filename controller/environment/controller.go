package environment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/schemawave/schemawave/kustomize"
)

// Options are what a Controller works with. Only Config is required.
type Options struct {
	Config Config
	// Refresh is called with the overlays that changed on a branch, through their bases or themselves, and with every other
	// directory in which a push changed files. Nil: Argo CD finds out by its own poll.
	Refresh RefreshFunc
	// Announce is told what cannot be rendered, and when it can be again. Nil: the log and the metrics tell.
	Announce AnnounceFunc
	// Report is told the outcome of each pass that found anything new, in the writer's goroutine: it must not block.
	Report func(Report)
	// Leader returns the URL at which the leader serves Webhook, or "" while there is none. Nil: deliveries
	// to a replica that is not running are answered with 503.
	Leader func(ctx context.Context) (string, error)
	// Metrics registers the collectors. Nil: none.
	Metrics prometheus.Registerer
	// Logger defaults to discarding.
	Logger *slog.Logger
	// List and Render default to kustomize.Overlays and Kustomize without options.
	List   Lister
	Render RendererAt
}

// Controller keeps environment repositories rendered.
type Controller struct {
	config  Config
	writers []*writer
	leader  func(ctx context.Context) (string, error)
	metrics *metrics
	log     *slog.Logger
	running atomic.Bool
}

// New checks the configuration and makes a Controller. It touches neither disk nor network.
func New(o Options) (*Controller, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("environments: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.List == nil {
		o.List = kustomize.Overlays
	}
	if o.Render == nil {
		o.Render = Kustomize(kustomize.Options{})
	}
	config := o.Config.withDefaults()
	dir, err := filepath.Abs(config.Directory)
	if err != nil {
		return nil, fmt.Errorf("environments: directory: %w", err)
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	c := &Controller{config: config, leader: o.Leader, metrics: m, log: o.Logger}
	for _, repo := range c.config.Repositories {
		log := o.Logger.With("repository", repo.URL, "branch", repo.Branch)
		var apis [2]hostAPI // one for each goroutine
		for i := range apis {
			if apis[i], err = newHostAPI(repo); err != nil {
				return nil, fmt.Errorf("environments: %s: %w", repo.URL, err)
			}
		}
		c.writers = append(c.writers, &writer{
			repo: repo, dir: filepath.Join(dir, directoryName(repo)), author: c.config.Author, signing: c.config.Signing,
			list: o.List, render: o.Render, report: o.Report, metrics: m, log: log,
			refresh: newRefresher(o.Refresh, repo, log),
			api:     apis[0], announcer: newAnnouncer(apis[1], o.Announce, repo, log),
			woken:  make(chan struct{}, 1),
			failed: map[string]string{}, held: map[string]bool{},
		})
	}
	return c, nil
}

// directoryName is a short name for a clone's directory that no two repositories share.
func directoryName(r Repository) string {
	sum := sha256.Sum256([]byte(r.URL + "#" + r.Branch))
	return hex.EncodeToString(sum[:6])
}

// Run keeps all repositories rendered until ctx is done; then it returns nil, after all its goroutines have ended. Only
// one process may run at a time for a repository: the leader. A second one would do no harm, but its work is thrown
// away. Run must not be called twice at once.
func (c *Controller) Run(ctx context.Context) error {
	c.running.Store(true)
	defer c.running.Store(false)
	var wg sync.WaitGroup
	for _, w := range c.writers {
		wg.Go(func() { w.run(ctx) })
		wg.Go(func() { w.refresh.run(ctx) })
		wg.Go(func() { w.announcer.run(ctx) })
	}
	wg.Wait()
	return nil
}
