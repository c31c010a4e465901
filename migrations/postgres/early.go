package postgres

import (
	"cmp"
	"context"

	"github.com/schemawave/schemawave/migrations"
)

// MigrateLoading is Migrate for a set that is yet to be read, at the same time as the connection is made. Its statements are
// checked only if there is something to do: of a run with nothing to do, reading and connecting are all but everything. If
// read fails, its error is the run's, whether or not the database could be reached, and the server was told nothing but who
// connects. If the check fails, the server was asked for the history, and no more.
func MigrateLoading(ctx context.Context, cfg Config, read func() (migrations.Unchecked, error)) (migrations.Report, error) {
	if cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Deadline)
		defer cancel()
	}
	r := newRunner()
	e := connectEarly(ctx, cfg)
	defer e.close()
	u, err := read()
	if err != nil {
		r.digest = cfg.digestOf(migrations.Set(u))
		return r.report(cfg, err), err
	}
	r.early, r.unchecked = e, &u
	if err = r.migrate(ctx, cfg, migrations.Set(u)); err != nil {
		err = cmp.Or(r.check(cfg.Target), err) // a directory that is wrong is the news, also while the server cannot be reached
	}
	return r.report(cfg, err), err
}

// check makes sure that r.set can be run.
func (r *runner) check(target string) error {
	if r.unchecked == nil {
		return nil
	}
	set, err := r.unchecked.Check()
	if err != nil {
		return err
	}
	r.unchecked = nil
	r.set, err = set.Upto(target)
	return err
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
