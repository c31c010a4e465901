package postgres_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// moment is a point in the conversation on a connection: just before or after a message is passed on.
type moment struct {
	fromServer bool
	number     int // of the message among those of its direction, from 1; 0: never
	after      bool
	text       string // … or of the first message that holds it
}

// crashProxy passes PostgreSQL's messages on one by one (PostgreSQL, "Message Formats") and does something at one moment of
// the first connection. Everything after it is passed on as it is, and so are later connections, unless the act is due again
// on each.
type crashProxy struct {
	listener net.Listener
	backend  string // address of the server
	at       moment
	again    bool         // on every connection
	act      func(*relay) // may be nil
	wg       sync.WaitGroup

	mu    sync.Mutex
	first *relay
	open  []net.Conn
}

// relay is one connection through a proxy.
type relay struct {
	proxy          *crashProxy
	client, server *net.TCPConn
	closing        sync.Once

	mu        sync.Mutex
	pid       uint32 // of the server process
	messages  [2]int // passed on: from the client, from the server
	last      []byte // message passed on from the client
	acted     bool
	swallowed bool // nothing is passed on any more
}

// startCrashProxy listens on loopback until the test ends or stop is called.
func startCrashProxy(t testing.TB, backend string, at moment, again bool, act func(*relay)) *crashProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &crashProxy{listener: l, backend: backend, at: at, again: again, act: act}
	p.wg.Go(p.accept)
	return p
}

func (p *crashProxy) address() string { return p.listener.Addr().String() }

func (p *crashProxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", p.backend)
		if err != nil {
			c.Close()
			continue
		}
		r := &relay{proxy: p, client: c.(*net.TCPConn), server: s.(*net.TCPConn)}
		p.mu.Lock()
		if p.first == nil {
			p.first = r
		}
		p.open = append(p.open, c, s)
		p.mu.Unlock()
		p.wg.Go(func() { r.pass(r.client, r.server, false) })
		p.wg.Go(func() { r.pass(r.server, r.client, true) })
	}
}

// counts tells how many messages the first connection has passed on in each direction, and whether the act was done.
func (p *crashProxy) counts() (fromClient, fromServer int, acted bool) {
	p.mu.Lock()
	r := p.first
	p.mu.Unlock()
	if r == nil {
		return 0, 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages[0], r.messages[1], r.acted
}

// stop ends the proxy and all its connections.
func (p *crashProxy) stop() {
	p.listener.Close()
	p.mu.Lock()
	for _, c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// pass passes one direction's messages on until either side ends.
func (r *relay) pass(from, to *net.TCPConn, fromServer bool) {
	defer r.close()
	head := 5
	if !fromServer {
		head = 4 // the startup message has no type
	}
	for {
		msg, err := readMessage(from, head)
		if err != nil {
			return
		}
		if fromServer && msg[0] == 'K' && len(msg) >= 9 {
			r.mu.Lock()
			r.pid = binary.BigEndian.Uint32(msg[5:])
			r.mu.Unlock()
		}
		if !r.passMessage(to, msg, fromServer) {
			return
		}
		head = 5
	}
}

// passMessage writes one message, and acts before or after it if its time has come. It reports whether to go on.
func (r *relay) passMessage(to net.Conn, msg []byte, fromServer bool) bool {
	direction := 0
	if fromServer {
		direction = 1
	}
	r.mu.Lock()
	r.messages[direction]++
	due := (r.proxy.again || r == r.proxy.first) && r.proxy.at.fromServer == fromServer &&
		(r.messages[direction] == r.proxy.at.number || !r.acted && r.proxy.at.text != "" && bytes.Contains(msg, []byte(r.proxy.at.text)))
	r.mu.Unlock()
	if due && !r.proxy.at.after && !r.disturb() {
		return false
	}
	if _, err := to.Write(msg); err != nil {
		return false
	}
	if !fromServer {
		r.mu.Lock()
		r.last = msg
		r.mu.Unlock()
	}
	return !due || !r.proxy.at.after || r.disturb()
}

// disturb acts, and reports whether the conversation may go on.
func (r *relay) disturb() bool {
	r.mu.Lock()
	r.acted = true
	r.mu.Unlock()
	r.proxy.act(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.swallowed
}

// swallow stops passing on.
func (r *relay) swallow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swallowed = true
}

func (r *relay) close() {
	r.closing.Do(func() {
		r.client.Close()
		r.server.Close()
	})
}

// reset closes a connection as abruptly as TCP can.
func reset(c *net.TCPConn) {
	c.SetLinger(0) //nolint:errcheck // it may be closed already
	c.Close()
}

// readMessage reads a message whose length stands in the last four of its first head bytes.
func readMessage(from io.Reader, head int) ([]byte, error) {
	msg := make([]byte, head)
	if _, err := io.ReadFull(from, msg); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(msg[head-4:]))
	msg = append(msg, make([]byte, max(0, length-4))...)
	_, err := io.ReadFull(from, msg[head:])
	return msg, err
}
