package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// PoolerOptions says how to pool. The zero value hands a server session out for one transaction at a time, as most
// installations do.
type PoolerOptions struct {
	Mode                    string   // "transaction" if empty, or "session" (pgbouncer, pool_mode)
	PoolSize                int      // server sessions of each database; 20 if 0
	IgnoreStartupParameters []string // accepted from clients and dropped; any others that pgbouncer does not know are refused
}

// Pooler is a running pgbouncer in front of a Server, for every database of it. Stop it.
type Pooler struct {
	port    int
	process *process
	dir     string
}

// StartPooler starts pgbouncer on a free loopback port and waits until a query through it is answered, or ctx ends. It asks
// clients for no password and logs in as user postgres. Its files are below the server's directory.
func StartPooler(ctx context.Context, s *Server, opts PoolerOptions) (*Pooler, error) {
	program, err := poolerProgram()
	if err != nil {
		return nil, fmt.Errorf("start pgbouncer: %w", err)
	}
	dir, err := os.MkdirTemp(s.dir, "pooler-")
	if err != nil {
		return nil, fmt.Errorf("start pgbouncer: %w", err)
	}
	p := &Pooler{dir: dir}
	for range attempts {
		if err = p.boot(ctx, program, s, opts); err == nil {
			return p, nil
		}
	}
	os.RemoveAll(dir)
	return nil, fmt.Errorf("start pgbouncer: %w", err)
}

// poolerProgram finds pgbouncer where Debian puts it, too: in a directory that ordinary accounts do not search.
func poolerProgram() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", errors.New("no program pgbouncer in PATH or /usr/sbin: install the pgbouncer package")
}

// boot writes the configuration for a free port, starts the program and waits until it answers.
func (p *Pooler) boot(ctx context.Context, program string, s *Server, opts PoolerOptions) error {
	var err error
	if p.port, err = freePort(); err != nil {
		return err
	}
	owner, err := unprivileged()
	if err != nil {
		return err
	}
	file := filepath.Join(p.dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(p.configuration(s, opts)), 0o600); err != nil {
		return err
	}
	for _, path := range []string{p.dir, file} {
		if err := owner.own(path); err != nil {
			return err
		}
	}
	if p.process, err = startProcess(program, []string{file}, p.dir, syscall.SIGKILL); err != nil {
		return err
	}
	if err := p.process.await(ctx, p.URL("postgres")); err != nil {
		p.process.stop()
		return err
	}
	return nil
}

// configuration is pgbouncer.ini (pgbouncer, "pgbouncer.ini"). Any user name is accepted; the server sees user postgres.
func (p *Pooler) configuration(s *Server, opts PoolerOptions) string {
	mode, size, password := "transaction", 20, ""
	if opts.Mode != "" {
		mode = opts.Mode
	}
	if opts.PoolSize != 0 {
		size = opts.PoolSize
	}
	if s.opts.Password != "" {
		password = " password='" + strings.ReplaceAll(s.opts.Password, "'", "''") + "'"
	}
	return fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=postgres%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = %d
max_client_conn = 500
ignore_startup_parameters = %s
`, s.port, password, p.port, mode, size, strings.Join(opts.IgnoreStartupParameters, ","))
}

// URL returns the connection URL of a database through the pooler.
func (p *Pooler) URL(db string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + db, RawQuery: "sslmode=disable",
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))}
	return u.String()
}

// Log returns the end of what pgbouncer wrote, for a failed test.
func (p *Pooler) Log() string { return p.process.log() }

// Stop ends pgbouncer at once and deletes its files. It may be called more than once.
func (p *Pooler) Stop() {
	p.process.stop()
	os.RemoveAll(p.dir)
}

// freePort is one that nobody listens on at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
