package postgrestest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// owner is the account that runs the server. PostgreSQL refuses to run as root.
type owner struct {
	credential *syscall.Credential // nil: this process's own
}

// unprivileged returns this process's account, or that of user postgres if it is root.
func unprivileged() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return owner{}, fmt.Errorf("the server does not run as root, and there is no user postgres: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return owner{}, fmt.Errorf("user postgres: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return owner{}, fmt.Errorf("user postgres: %w", err)
	}
	return owner{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

func (o owner) own(path string) error {
	if o.credential == nil {
		return nil
	}
	return os.Chown(path, int(o.credential.Uid), int(o.credential.Gid))
}

func (o owner) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: o.credential}
}

// process is the postmaster or the pooler.
type process struct {
	cmd  *exec.Cmd
	end  syscall.Signal // ends it at once
	done chan struct{}  // closed when it has ended
}

// startProcess runs the program with its output going to dir/log. It is to end, by the signal end, with the thread that
// started it, so one thread is kept for it until it is done.
func startProcess(program string, args []string, dir string, end syscall.Signal) (*process, error) {
	o, err := unprivileged()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(program, args...), end: end, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.SysProcAttr = o.attributes()
	dieWithParent(p.cmd.SysProcAttr, end)
	p.cmd.SysProcAttr.Setpgid = true // an interrupt at the terminal is for the tests, not for the server
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer close(p.done)
		defer log.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait() //nolint:errcheck // it is always ended by a signal
		}
	}()
	return p, <-started
}

// stop ends the process and waits for it.
func (p *process) stop() {
	select {
	case <-p.done:
		return
	default:
	}
	p.cmd.Process.Signal(p.end) //nolint:errcheck // it may have ended by itself
	<-p.done
}

// await asks until something answers at url, the process exits, a minute passes or ctx ends.
func (p *process) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgconn.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.done:
			return fmt.Errorf("the server ended: %s", p.log())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// log returns the end of what the process wrote.
func (p *process) log() string {
	b, err := os.ReadFile(filepath.Join(p.cmd.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return string(b[max(0, len(b)-most):])
}
