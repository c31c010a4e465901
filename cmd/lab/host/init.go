package host

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// The file descriptors Start leaves to PID 1: the lab's lock, and where the lab reports.
const (
	lockFD   = 3
	ReportFD = 4
)

// Init is the life of the lab's PID 1: it makes the namespaces a place to live in, starts this program again with the
// arguments args as the supervisor, and adopts and reaps orphans until the supervisor ends or a SIGTERM comes.
// Returning ends the lab: the kernel kills whatever is left in the namespace. keep are directories that stay the
// machine's own where the lab covers what is around them.
func (l Lab) Init(keep []string, args ...string) error {
	unix.CloseOnExec(lockFD)
	if err := l.furnish(keep); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		os.Stderr.WriteString("ended by SIGTERM\n")
		_ = syscall.Kill(-1, syscall.SIGKILL) // the reaper below then sees the supervisor end
	}()
	supervisor, err := syscall.ForkExec("/proc/self/exe", append([]string{"lab"}, args...), &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2, lockFDUnused, ReportFD},
	})
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	unix.CloseOnExec(ReportFD)
	if err := unix.Close(ReportFD); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	return reap(supervisor)
}

// lockFDUnused leaves the lock's descriptor closed in the supervisor: the lock is PID 1's alone.
const lockFDUnused = ^uintptr(0)

// reap waits for every child, own or adopted, until pid ends.
func reap(pid int) error {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for the lab's processes: %w", err)
		}
		if got == pid {
			return fmt.Errorf("the supervisor ended (exit status %d, signal %d)", status.ExitStatus(), status.Signal())
		}
	}
}

// furnish makes the namespaces a place to live in.
func (l Lab) furnish(keep []string) error {
	ns, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("name the lab: %w", err)
	}
	if err := os.WriteFile(l.Path("netns"), []byte(ns), 0o644); err != nil {
		return fmt.Errorf("name the lab: %w", err)
	}
	if err := unix.Sethostname([]byte(Hostname)); err != nil {
		return fmt.Errorf("name the lab: %w", err)
	}
	if err := l.mounts(append(keep, l.Dir)); err != nil {
		return err
	}
	return network()
}
