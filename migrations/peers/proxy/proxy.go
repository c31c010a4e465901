// Package proxy forwards TCP connections on loopback as over a longer way: what is sent in either direction arrives half a
// round trip later, in order and at any bandwidth. And it counts how often a client waited for an answer.
package proxy

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy is a running proxy. Close it.
type Proxy struct {
	listener net.Listener
	server   string
	half     time.Duration
	flights  atomic.Int64

	mu     sync.Mutex
	conns  []net.Conn // every one there was, for Close
	closed bool
	work   sync.WaitGroup
}

// Start listens on a free port and forwards to server (host:port) with an added round-trip time, which may be zero.
func Start(server string, roundTrip time.Duration) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	p := &Proxy{listener: l, server: server, half: roundTrip / 2}
	p.work.Go(p.accept)
	return p, nil
}

// Address is the host:port to connect to.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Flights returns how many times, since it was last called, a client began to write after it had read, the first write of
// a connection and the goodbye included: the round trips that cannot overlap.
func (p *Proxy) Flights() int { return int(p.flights.Swap(0)) }

// Close ends all connections and waits until nothing runs any more.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	err := p.listener.Close()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		w := &way{proxy: p}
		w.listening.Store(true)
		p.work.Go(func() { p.forward(server, client, w.wrote, nil) })
		p.work.Go(func() { p.forward(client, server, nil, w.heard) })
	}
}

// keep notes the connections for Close; it closes them if that has come already.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	if p.closed {
		for _, c := range conns {
			c.Close()
		}
	}
	return !p.closed
}

// way is one connection as its client sees it.
type way struct {
	proxy     *Proxy
	listening atomic.Bool // something was delivered to the client since it last wrote, or nothing was written yet
}

func (w *way) wrote() {
	if w.listening.CompareAndSwap(true, false) {
		w.proxy.flights.Add(1)
	}
}

func (w *way) heard() { w.listening.Store(true) }

// parcel is what one read returned, and when it is due at the other side.
type parcel struct {
	due  time.Time
	data []byte
}

// forward copies until either side ends, and then ends both. It calls sent, if not nil, as soon as something was read, and
// delivered, if not nil, just before that is passed on.
func (p *Proxy) forward(to, from net.Conn, sent, delivered func()) {
	under := make(chan parcel, 4096)
	p.work.Go(func() {
		defer to.Close()
		for one := range under {
			time.Sleep(time.Until(one.due))
			if delivered != nil {
				delivered()
			}
			if _, err := to.Write(one.data); err != nil {
				from.Close()
				break
			}
		}
		for range under { // emptied, so that the reader below is not stuck
		}
	})
	defer close(under)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if sent != nil {
				sent()
			}
			under <- parcel{time.Now().Add(p.half), bytes.Clone(buf[:n])}
		}
		if err != nil {
			return
		}
	}
}
