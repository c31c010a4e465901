package postgres

import (
	"context"

	"github.com/schemawave/schemawave/migrations"
)

// MigrateLoading is Migrate for a set that is yet to be loaded. The connection is made at the same time: of a run with nothing
// to do, loading and connecting are all but everything. If load fails, its error is the run's, whether or not the
// database could be reached, and the server was told nothing but who connects.
func MigrateLoading(ctx context.Context, cfg Config, load func() (migrations.Set, error)) (migrations.Report, error) {
	if cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Deadline)
		defer cancel()
	}
	r := newRunner()
	e := connectEarly(ctx, cfg)
	defer e.close()
	set, err := load()
	if err != nil {
		r.digest = set.Digest()
		return r.report(cfg, err), err
	}
	r.early = e
	err = r.migrate(ctx, cfg, set)
	return r.report(cfg, err), err
}

// early is a connection in the making.
type early struct {
	cancel context.CancelFunc
	made   chan struct{} // closed when s or err is there
	s      *session
	err    error
}

// connectEarly begins to connect. What it cannot do is for the run to say.
func connectEarly(ctx context.Context, cfg Config) *early {
	ctx, cancel := context.WithCancel(ctx)
	e := &early{cancel: cancel, made: make(chan struct{})}
	go func() {
		defer close(e.made)
		if cfg, e.err = cfg.withDefaults(); e.err == nil {
			e.s, e.err = connect(ctx, cfg)
		}
	}()
	return e
}

// take waits for the connection and hands it over.
func (e *early) take() (*session, error) {
	<-e.made
	s := e.s
	e.s = nil
	return s, e.err
}

// close ends what was not taken, and waits until nothing runs any more.
func (e *early) close() {
	e.cancel()
	if s, _ := e.take(); s != nil {
		bye, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		s.close(bye) //nolint:errcheck // nothing was asked of it
	}
}

// connect opens the run's next connection: the early one, if there is one.
func (r *runner) connect(ctx context.Context) (*session, error) {
	if e := r.early; e != nil {
		r.early = nil
		return e.take()
	}
	return connect(ctx, r.cfg)
}
