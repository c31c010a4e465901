package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	windowMessages = 128       // sent ahead of their replies
	windowBytes    = 256 << 10 // of one write
	cancelEvery    = 250 * time.Millisecond
	cancelGrace    = 10 * time.Second // for the server to obey a cancel request
)

// exchange sends n messages without waiting for one's reply before the next, and calls each with every reply in order. A
// message is made when its turn comes, so that not all of them are in memory at once. When each returns false, no further message is sent; those under way are still answered and reported to it.
//
// When ctx ends, nothing more is sent and the server is asked to cancel, until all replies are there. The error is nil
// then too, for the replies tell what happened; it is a *lostError if the connection broke.
//
// Rows are kept only if keepRows says so: a migration may select a whole table.
func (s *session) exchange(ctx context.Context, n int, message func(i int) string, keepRows bool, each func(i int, r reply) bool) error {
	f := &flight{session: s, total: n, message: message, keepRows: keepRows}
	f.progress = sync.NewCond(&f.mu)
	done := make(chan struct{})
	var background sync.WaitGroup
	background.Go(f.write)
	background.Go(func() { f.cancelWhen(ctx, done) })
	err := f.read(each)
	close(done)
	f.stop()
	if err != nil {
		s.pg.Conn().Close() // frees a writer that is stuck
	}
	background.Wait()
	return err
}

// flight is one exchange.
type flight struct {
	session  *session
	total    int
	message  func(i int) string // called by the writer alone, in order
	keepRows bool

	mu       sync.Mutex
	progress *sync.Cond
	sent     int
	answered int
	stopped  bool // nothing more is to be sent
	written  bool // nothing more will be sent
}

// write sends messages in chunks, refilling the window when half of it is answered.
func (f *flight) write() {
	defer f.set(&f.written)
	for next, room := 0, 0; f.roomFor(next, &room); {
		var buf []byte
		for next < min(room, f.total) && len(buf) < windowBytes {
			encoded, err := (&pgproto3.Query{String: f.message(next)}).Encode(buf)
			if err != nil { // longer than the protocol's 1 GiB
				f.session.pg.Conn().Close()
				return
			}
			buf = encoded
			next++
		}
		if !f.announce(next) {
			return
		}
		if _, err := f.session.pg.Conn().Write(buf); err != nil {
			f.session.pg.Conn().Close()
			return
		}
	}
}

// roomFor waits until at least half of the window is free and puts into room how far it reaches. It reports false when
// there is nothing more to send.
func (f *flight) roomFor(next int, room *int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	window := f.session.window()
	for !f.stopped && next < f.total && next-f.answered > window/2 {
		f.progress.Wait()
	}
	*room = f.answered + window
	return !f.stopped && next < f.total
}

// announce tells the reader how many replies to expect, unless the exchange has been stopped meanwhile.
func (f *flight) announce(sent int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return false
	}
	f.sent = sent
	f.progress.Broadcast()
	return true
}

func (f *flight) stop() { f.set(&f.stopped) }

func (f *flight) set(flag *bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*flag = true
	f.progress.Broadcast()
}

// expecting waits until a reply is due, and reports false when none will come.
func (f *flight) expecting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.sent == f.answered && !f.written {
		f.progress.Wait()
	}
	return f.sent > f.answered
}

func (f *flight) read(each func(int, reply) bool) error {
	for i := 0; f.expecting(); i++ {
		r, err := f.session.receive(f.keepRows)
		if err != nil {
			return &lostError{err}
		}
		f.mu.Lock()
		f.answered++
		f.progress.Broadcast()
		f.mu.Unlock()
		if !each(i, r) {
			f.stop()
		}
	}
	return nil
}

// cancelWhen asks the server to cancel once ctx has ended, and again until done: a request that arrives between two
// statements has no effect.
func (f *flight) cancelWhen(ctx context.Context, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	f.stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
	defer cancel()
	for {
		f.session.pg.CancelRequest(grace) //nolint:errcheck // repeated below, and bounded
		select {
		case <-done:
			return
		case <-grace.Done():
			f.session.pg.Conn().Close()
			return
		case <-time.After(cancelEvery):
		}
	}
}
