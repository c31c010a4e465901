package postgres_test

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations/postgres"
)

// wire watches or disturbs the connections of a configuration.
type wire struct {
	mu         sync.Mutex
	dials      int
	flights    int                       // times the client began to write after it had read, the first write included
	queries    int                       // simple query messages
	delay      time.Duration             // of what the server says, once for each flight: a round-trip time
	breakAt    func(written []byte) bool // true: the connection breaks instead of writing
	breakAfter bool                      // … or just after it
	onWrite    func(written []byte)
}

// tap puts the wire into the configuration.
func (w *wire) tap(cfg *postgres.Config) {
	cfg.Conn.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, c net.Conn) (net.Conn, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dials++
		return &tapped{Conn: c, wire: w, turned: true}, nil
	}
}

func (w *wire) counts() (dials, flights, queries int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials, w.flights, w.queries
}

type tapped struct {
	net.Conn
	wire   *wire
	mu     sync.Mutex
	turned bool // something was read since the last write
	due    time.Time
}

func (t *tapped) Write(b []byte) (int, error) {
	t.mu.Lock()
	turn := t.turned
	t.turned = false
	if turn {
		t.due = time.Now().Add(t.wire.delay)
	}
	t.mu.Unlock()
	t.wire.mu.Lock()
	if turn {
		t.wire.flights++
	}
	for rest := b; len(rest) >= 5 && rest[0] == 'Q'; {
		t.wire.queries++
		rest = rest[min(len(rest), 1+int(binary.BigEndian.Uint32(rest[1:5]))):]
	}
	broken := t.wire.breakAt != nil && t.wire.breakAt(b)
	on := t.wire.onWrite
	t.wire.mu.Unlock()
	if on != nil {
		on(b)
	}
	if broken && !t.wire.breakAfter {
		t.Conn.Close()
		return 0, net.ErrClosed
	}
	n, err := t.Conn.Write(b)
	if broken {
		t.Conn.Close()
	}
	return n, err
}

func (t *tapped) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.mu.Lock()
	t.turned = true
	due := t.due
	t.mu.Unlock()
	time.Sleep(time.Until(due))
	return n, err
}
