// Package postgres runs the lab's PostgreSQL: a fresh cluster of databases, reachable in the lab's network by password,
// that gives up durability for speed, because it does not outlive the lab.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// Port PostgreSQL listens on, at every address of the lab.
const Port = 5432

// User is the superuser, and the system's user the server runs as: PostgreSQL refuses root.
const User = "postgres"

// sockets is in the lab's own /run, where psql looks by default.
const sockets = "/run/postgresql"

// Server is one lab's PostgreSQL.
type Server struct {
	// Programs is the directory of initdb and postgres.
	Programs string
	// Dir is the data directory; it is made.
	Dir string
	// Password is the superuser's.
	Password string
}

// Component is the server, ready when it takes connections.
func (s Server) Component() (supervise.Component, error) {
	who, err := credential()
	if err != nil {
		return supervise.Component{}, err
	}
	return supervise.Component{
		Name:    "postgresql",
		Prepare: func(ctx context.Context, log io.Writer) error { return s.initialize(ctx, who, log) },
		User:    who,
		Command: []string{filepath.Join(s.Programs, "postgres"), "-D", s.Dir, "-p", strconv.Itoa(Port), "-k", sockets,
			"-c", "listen_addresses=*", "-c", "max_connections=200",
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "log_line_prefix=%m [%p] %u@%d "},
		Ready: func(ctx context.Context) error {
			return exec.CommandContext(ctx, filepath.Join(s.Programs, "pg_isready"), "-q", "-h", sockets, "-p", strconv.Itoa(Port)).Run()
		},
	}, nil
}

func credential() (*syscall.Credential, error) {
	u, err := user.Lookup(User)
	if err != nil {
		return nil, fmt.Errorf("run PostgreSQL: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run PostgreSQL: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run PostgreSQL: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// initialize makes the data directory with initdb, and lets the superuser in from everywhere by password.
func (s Server) initialize(ctx context.Context, who *syscall.Credential, log io.Writer) error {
	for _, dir := range []string{s.Dir, sockets} {
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chown(dir, int(who.Uid), int(who.Gid))); err != nil {
			return fmt.Errorf("make a directory for PostgreSQL: %w", err)
		}
	}
	if err := os.Chmod(sockets, 0o755); err != nil {
		return fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	// the password travels through a pipe: neither arguments nor files hold it
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pass PostgreSQL's password: %w", err)
	}
	defer r.Close()
	_, err = io.WriteString(w, s.Password+"\n")
	if err := errors.Join(err, w.Close(), r.Chown(int(who.Uid), int(who.Gid))); err != nil {
		return fmt.Errorf("pass PostgreSQL's password: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.Programs, "initdb"), "-D", s.Dir, "-U", User, "--no-sync", "--no-instructions",
		"--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--pwfile=/proc/self/fd/3")
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return s.letIn()
}

// letIn appends a rule to pg_hba.conf (PostgreSQL, chapter "Client Authentication").
func (s Server) letIn() error {
	f, err := os.OpenFile(filepath.Join(s.Dir, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("let clients in: %w", err)
	}
	_, err = f.WriteString("host all all all scram-sha-256\nhost replication all all scram-sha-256\n")
	return errors.Join(err, f.Close())
}
