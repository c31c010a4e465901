package postgres

import (
	"context"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

const (
	watchEvery   = time.Second
	watchTimeout = 10 * time.Second // for the server to answer; then the lock counts as lost
)

// watch asks the server again and again whether the session, and with it the lock, is still there; the context ends if it is not.
// A lease is looked after already. Its first question also tells those who wait what is being run.
func (x *exclusive) watch(ctx context.Context, s *session) kept {
	ctx, lost := context.WithCancelCause(ctx)
	if s.pooled {
		return kept{ctx, func() { lost(nil) }}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchTimeout)
			_, err := s.ask(asking, note(x.command.Name)+" SELECT 1")
			cancel()
			if err != nil {
				lost(lockLost(err))
				return
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return kept{ctx, func() {
		close(done)
		<-ended
		lost(nil)
	}}
}

// lockLost is the error of a run whose session ended under it.
func lockLost(cause error) *Error {
	return fail(migrations.ExitUnreachable, "the connection that holds the migration lock is gone: "+networkCause(cause),
		"check the server and the network, and run it again")
}
