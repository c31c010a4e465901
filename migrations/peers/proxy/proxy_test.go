package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/schemawave/schemawave/migrations/peers/proxy"
)

// echo answers every line with itself, until the listener is closed.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c) //nolint:errcheck // ends with the connection
			}()
		}
	}()
	return l.Addr().String()
}

func start(t *testing.T, roundTrip time.Duration) (*proxy.Proxy, net.Conn) {
	t.Helper()
	p, err := proxy.Start(echo(t), roundTrip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return p, c
}

func TestCountsAndDelaysRoundTrips(t *testing.T) {
	const trip = 20 * time.Millisecond
	p, c := start(t, trip)
	r := bufio.NewReader(c)
	began := time.Now()
	for i := range 5 {
		fmt.Fprintf(c, "%d\n", i)
		if line, err := r.ReadString('\n'); err != nil || line != fmt.Sprintf("%d\n", i) {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if took := time.Since(began); took < 5*trip {
		t.Errorf("five round trips took %v", took)
	}
	if n := p.Flights(); n != 5 {
		t.Errorf("%d flights, want 5", n)
	}
	if n := p.Flights(); n != 0 {
		t.Errorf("%d flights since then", n)
	}
}

// What is sent without waiting for answers shares one delay, arrives whole and in order, and is one flight.
func TestDelaysFlightsNotBandwidth(t *testing.T) {
	const trip = 200 * time.Millisecond
	p, c := start(t, trip)
	var want strings.Builder
	began := time.Now()
	for i := range 50 {
		line := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", 2000))
		want.WriteString(line)
		if _, err := io.WriteString(c, line); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, want.Len())
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want.String() {
		t.Fatalf("not what was sent: %v", err)
	}
	if took := time.Since(began); took < trip {
		t.Errorf("50 lines took %v", took)
	}
	if n := p.Flights(); n != 1 {
		t.Errorf("%d flights, want 1", n)
	}
}

func TestCloseEndsConnections(t *testing.T) {
	p, c := start(t, 0)
	fmt.Fprintln(c, "x")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("read after the end: %v", err)
	}
}

func TestServerGoneEndsConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there
	p, err := proxy.Start(l.Addr().String(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from nowhere", n)
	}
}
