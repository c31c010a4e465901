// Package natstest runs a real NATS server with JetStream inside the test's own process, on a free port of the loopback
// interface and a store in a temporary directory. It can be stopped and started again in the same place, which is how a
// server's restart looks to its clients. Only tests may import it: it links the whole server.
package natstest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options change what Start runs; the zero value is a server without authentication.
type Options struct {
	Config string // path of a nats-server configuration file, for accounts and permissions; port and store are overridden
}

// Server is a running or stopped server. It is not safe for concurrent use.
type Server struct {
	options Options
	dir     string
	port    int
	cluster *member // nil: the server stands alone
	srv     *server.Server
}

// Start runs a server. The caller must Close it.
func Start(o Options) (*Server, error) {
	dir, err := os.MkdirTemp("", "natstest-")
	if err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	s := &Server{options: o, dir: dir, port: server.RANDOM_PORT}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// URL is where clients connect, the same after every restart.
func (s *Server) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.port) }

// Stop shuts the server down and keeps its store. Stopping a stopped server does nothing.
func (s *Server) Stop() {
	if s.srv != nil {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
		s.srv = nil
	}
}

// Restart stops the server if it runs and starts it on the same port and store.
func (s *Server) Restart() error {
	s.Stop()
	opts := &server.Options{}
	if s.options.Config != "" {
		var err error
		if opts, err = server.ProcessConfigFile(s.options.Config); err != nil {
			return fmt.Errorf("start nats: %w", err)
		}
	}
	opts.Host, opts.Port = "127.0.0.1", s.port
	opts.JetStream, opts.StoreDir = true, s.dir
	opts.NoLog, opts.NoSigs = true, true
	if s.cluster != nil {
		s.cluster.configure(opts)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("start nats: %w", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		srv.Shutdown()
		return errors.New("start nats: not ready for connections within 20 s")
	}
	s.srv, s.port = srv, srv.Addr().(*net.TCPAddr).Port
	return nil
}

// Close stops the server and removes its store.
func (s *Server) Close() error {
	s.Stop()
	return os.RemoveAll(s.dir)
}
