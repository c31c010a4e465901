package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// endTimeout bounds how long the kernel may take to end a namespace's processes.
const endTimeout = 20 * time.Second

// End kills the lab and removes what is left of it. A lab that is not running is cleaned up all the same.
func (l Lab) End() error {
	if l.Inside() {
		return errors.New("a command in the lab cannot end the lab; do it from outside")
	}
	if err := l.kill(); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	return l.Clear()
}

// Clear removes what a dead lab left; it does nothing to a running one.
func (l Lab) Clear() error {
	if filepath.Dir(l.Dir) == Base {
		release, err := lockBase()
		if err != nil {
			return err
		}
		defer release()
		defer os.Remove(Base) // stays while there are other labs
	}
	return l.remove()
}

// kill ends PID 1, and with it all the lab's processes, and waits until they are gone.
func (l Lab) kill() error {
	pid, err := l.pid()
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("end the lab: %w", err)
	}
	defer unix.Close(fd)
	// still locked after the handle was taken: the number is the lab's, not a successor's
	if again, err := l.pid(); err != nil || again != pid {
		return err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end the lab: %w", err)
	}
	return awaitExit(fd)
}

// awaitExit returns when the process has exited; of a PID namespace's first process that is when all others are gone.
func awaitExit(fd int) error {
	deadline := time.Now().Add(endTimeout)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("end the lab: its processes are still there after %v", endTimeout)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("end the lab: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
}

// remove deletes the cgroups, and the state directory, unless somebody starts the lab anew meanwhile.
// Mounts of the lab are gone with its namespace, so nothing below the directory leads elsewhere. The marker goes last:
// what an interruption leaves can be removed next time.
func (l Lab) remove() error {
	if _, err := os.Stat(l.Path(marker)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := l.lock()
	if errors.Is(err, ErrRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	entries, err := os.ReadDir(l.Dir)
	err = errors.Join(err, removeCgroups(l.ID()))
	for _, e := range entries {
		if e.Name() != marker {
			err = errors.Join(err, os.RemoveAll(l.Path(e.Name())))
		}
	}
	if err == nil {
		err = os.RemoveAll(l.Dir)
	}
	if err != nil {
		return fmt.Errorf("remove what is left of the lab: %w", err)
	}
	return nil
}

// Sweep removes what is left of labs under Base whose processes are gone, such as a run that was killed.
func Sweep() error {
	release, err := lockBase()
	if err != nil {
		return err
	}
	defer release()
	defer os.Remove(Base) // stays while there are labs
	entries, err := os.ReadDir(Base)
	if err != nil {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	for _, e := range entries {
		l := Lab{Dir: filepath.Join(Base, e.Name())}
		if _, err := l.pid(); !errors.Is(err, ErrNotRunning) {
			continue
		}
		if err := l.remove(); err != nil {
			return err
		}
	}
	return nil
}
