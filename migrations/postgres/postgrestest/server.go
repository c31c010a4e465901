// Package postgrestest starts a real, throw-away PostgreSQL server for tests, demonstrations and development. It needs the
// server's programs on the machine (PATH or /usr/lib/postgresql/*/bin) and works for root too. Stop leaves nothing behind;
// on Linux the server dies even with a process that is killed, of which only a temporary directory remains.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Options says what kind of server to start. The zero value is a server that trusts everyone on loopback and does not
// fsync, the right one for tests.
type Options struct {
	Password string            // of user postgres; when set, connections need it (SCRAM); when empty, none is asked for
	Settings map[string]string // as in postgresql.conf; they win over those this package sets
	TLS      bool              // offers TLS with a certificate for 127.0.0.1 and localhost, signed by an authority of its own; URL asks for it
}

// Server is a running PostgreSQL. Stop it.
type Server struct {
	port      int
	bin       string // directory of the programs
	dir       string
	opts      Options
	process   *process
	databases atomic.Int64
}

// attempts bounds how often another port is tried when the chosen one was taken meanwhile.
const attempts = 3

// Start initialises a data directory below the system's temporary one, starts a server on a free loopback port and waits until
// it answers, or ctx ends.
func Start(ctx context.Context, opts Options) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, fmt.Errorf("start postgresql: %w", err)
	}
	dir, err := os.MkdirTemp("", "schemawave-postgres-")
	if err != nil {
		return nil, fmt.Errorf("start postgresql: %w", err)
	}
	s := &Server{bin: bin, dir: dir, opts: opts}
	if err := s.initialise(ctx); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("start postgresql: %w", err)
	}
	for range attempts {
		if err = s.boot(ctx); err == nil {
			return s, nil
		}
	}
	os.RemoveAll(dir)
	return nil, fmt.Errorf("start postgresql: %w", err)
}

// binaries returns the directory that holds postgres and initdb.
func binaries() (string, error) {
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			return filepath.Dir(p), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return "", errors.New("no program postgres in PATH or /usr/lib/postgresql/*/bin: install the postgresql package")
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) initialise(ctx context.Context) error {
	owner, err := unprivileged()
	if err != nil {
		return err
	}
	args := []string{"-D", s.data(), "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"}
	if s.opts.Password == "" {
		args = append(args, "-A", "trust")
	} else {
		file := filepath.Join(s.dir, "password")
		if err := os.WriteFile(file, []byte(s.opts.Password), 0o600); err != nil {
			return err
		}
		defer os.Remove(file)
		if err := owner.own(file); err != nil {
			return err
		}
		args = append(args, "-A", "scram-sha-256", "--pwfile", file)
	}
	if err := owner.own(s.dir); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, owner.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	if s.opts.TLS {
		return certify(s.dir, owner)
	}
	return nil
}

// boot starts the server on a free port and waits until it answers.
func (s *Server) boot(ctx context.Context) error {
	var err error
	if s.port, err = freePort(); err != nil {
		return err
	}
	return s.launch(ctx)
}

// launch starts the server on its port and waits until it answers.
func (s *Server) launch(ctx context.Context) error {
	merged := map[string]string{
		"port": strconv.Itoa(s.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": s.dir,
		"fsync": "off", "shared_buffers": "32MB", "max_connections": "100",
	}
	if s.opts.TLS {
		merged["ssl"], merged["ssl_cert_file"], merged["ssl_key_file"] = "on", filepath.Join(s.dir, certificateFile), filepath.Join(s.dir, keyFile)
	}
	maps.Copy(merged, s.opts.Settings)
	args := []string{"-D", s.data()}
	for k, v := range merged {
		args = append(args, "-c", k+"="+v)
	}
	var err error
	if s.process, err = startProcess(filepath.Join(s.bin, "postgres"), args, s.dir, syscall.SIGQUIT); err != nil {
		return err
	}
	if err := s.process.await(ctx, s.URL("postgres")); err != nil {
		s.process.stop()
		return err
	}
	return nil
}

// URL returns the connection URL of a database, over TCP, with the password if there is one, and verifying the server's
// certificate if there is one.
func (s *Server) URL(db string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: s.Address(), Path: "/" + db, RawQuery: "sslmode=disable"}
	if s.opts.TLS {
		u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {s.CA()}}.Encode()
	}
	if s.opts.Password != "" {
		u.User = url.UserPassword("postgres", s.opts.Password)
	}
	return u.String()
}

// Address is host:port on loopback.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// SocketDir is the directory of the server's Unix socket, for libpq's PGHOST.
func (s *Server) SocketDir() string { return s.dir }

// Port is the server's port, for libpq's PGPORT.
func (s *Server) Port() int { return s.port }

// NewDatabase creates an empty database with a name that no other has, and returns its URL.
func (s *Server) NewDatabase(ctx context.Context) (string, error) {
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	conn, err := pgconn.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return "", fmt.Errorf("new database: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name).ReadAll(); err != nil {
		return "", fmt.Errorf("new database: %w", err)
	}
	return s.URL(name), nil
}

// Log returns the end of what the server wrote, for a failed test.
func (s *Server) Log() string { return s.process.log() }

// Stop ends the server at once and deletes its data. It may be called more than once.
func (s *Server) Stop() error {
	s.process.stop()
	return os.RemoveAll(s.dir)
}
