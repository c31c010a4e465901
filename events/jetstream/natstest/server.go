// Package natstest runs a real NATS server with JetStream inside the test's own process or in one beside it, on a free port
// of the loopback interface and a store in a temporary directory. It can be stopped and started again in the same place,
// which is how a server's restart looks to its clients. Only tests may import it: it links the whole server.
package natstest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options change what Start runs; the zero value is a server without authentication, inside the test's own process.
type Options struct {
	Config  string // path of a nats-server configuration file, for accounts and permissions; port and store are overridden
	Process bool   // in a process of its own, whose memory is the server's and which can be killed; TestMain must call Serve
}

// Server is a running or stopped server. It is not safe for concurrent use.
type Server struct {
	place   place
	process bool
	running running // nil: stopped
}

// place is what stays the same from one start of a server to the next.
type place struct {
	Config string
	Dir    string  // of the store
	Port   int     // the server's choice at first
	Member *member // nil: the server stands alone
}

// running is a server that accepts clients.
type running interface {
	port() int
	stop()
}

// Start runs a server. The caller must Close it.
func Start(o Options) (*Server, error) {
	return start(o, server.RANDOM_PORT, nil)
}

func start(o Options, port int, m *member) (*Server, error) {
	dir, err := os.MkdirTemp("", "natstest-")
	if err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	s := &Server{place: place{o.Config, dir, port, m}, process: o.Process}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// URL is where clients connect, the same after every restart.
func (s *Server) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.place.Port) }

// Stop shuts the server down and keeps its store. Stopping a stopped server does nothing.
func (s *Server) Stop() {
	if s.running != nil {
		s.running.stop()
		s.running = nil
	}
}

// Restart stops the server if it runs and starts it on the same port and store.
func (s *Server) Restart() (err error) {
	s.Stop()
	if s.process {
		s.running, err = s.place.beside()
	} else {
		s.running, err = s.place.inside()
	}
	if err != nil {
		s.running = nil
		return fmt.Errorf("start nats: %w", err)
	}
	s.place.Port = s.running.port()
	return nil
}

// Wipe stops the server and empties its store, which is how the loss of a disk looks to its clients after Restart.
func (s *Server) Wipe() error {
	s.Stop()
	return errors.Join(os.RemoveAll(s.place.Dir), os.Mkdir(s.place.Dir, 0o700))
}

// Close stops the server and removes its store.
func (s *Server) Close() error {
	s.Stop()
	return os.RemoveAll(s.place.Dir)
}

// embedded is a server inside this process.
type embedded struct{ *server.Server }

func (e embedded) port() int { return e.Addr().(*net.TCPAddr).Port }

func (e embedded) stop() {
	e.Shutdown()
	e.WaitForShutdown()
}

// inside starts a server in this process and returns when it accepts clients.
func (p place) inside() (running, error) {
	opts := &server.Options{}
	if p.Config != "" {
		var err error
		if opts, err = server.ProcessConfigFile(p.Config); err != nil {
			return nil, err
		}
	}
	opts.Host, opts.Port = "127.0.0.1", p.Port
	opts.JetStream, opts.StoreDir = true, p.Dir
	opts.NoLog, opts.NoSigs = true, true
	if p.Member != nil {
		if err := p.Member.configure(opts); err != nil {
			return nil, err
		}
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, err
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		srv.Shutdown()
		return nil, errors.New("not ready for connections within 20 s")
	}
	return embedded{srv}, nil
}
