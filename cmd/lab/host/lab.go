// Package host gives a lab a place of its own on this machine: a state directory, and network, mount, PID, IPC and UTS
// namespaces whose PID 1 is the lab. Nothing outside changes, several labs do not meet, and killing PID 1 ends every
// process, container and mount at once; the state directory and the cgroup directories are all that is left to remove.
package host

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Base is where labs live that were not given a directory: on disk, where /tmp often is memory, and out of the way of
// everything the lab covers with mounts of its own.
const Base = "/var/tmp/schemawave-lab"

// maxDir keeps the paths of the unix sockets below a state directory within the kernel's 108 bytes.
const maxDir = 60

// marker is the file that says a directory is a lab's; it is also the lock that its PID 1 holds while it lives.
const marker = "schemawave-lab.lock"

// ErrRunning means that the directory's lab is alive; ErrNotRunning that it is not.
var (
	ErrRunning    = errors.New("the lab is already running; lab status tells more, lab down ends it")
	ErrNotRunning = errors.New("the lab is not running; start it with lab up")
)

// Lab is one lab, known by its state directory. The zero value is not usable; see At and Fresh.
type Lab struct{ Dir string }

// At is the lab of a directory, running or not.
func At(dir string) (Lab, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Lab{}, fmt.Errorf("lab directory: %w", err)
	}
	if len(abs) > maxDir {
		return Lab{}, fmt.Errorf("lab directory %s: longer than %d bytes, unix sockets would not fit below it; choose a shorter --dir", abs, maxDir)
	}
	return Lab{Dir: abs}, nil
}

// Fresh is a lab in a new directory under Base, for one run.
func Fresh() Lab {
	return Lab{Dir: filepath.Join(Base, "run-"+rand.Text()[:10])}
}

// Path is a path below the state directory.
func (l Lab) Path(elem ...string) string {
	return filepath.Join(append([]string{l.Dir}, elem...)...)
}

// ID names what belongs to the lab outside its directory: its cgroups.
func (l Lab) ID() string {
	sum := sha256.Sum256([]byte(l.Dir))
	return "schemawave-lab-" + hex.EncodeToString(sum[:4])
}

// Acquire makes the state directory and takes the lab's lock, which lives as long as the returned file is open in any
// process. ErrRunning when another holds it. It refuses a directory that holds something else, because ending the lab
// removes the directory.
func (l Lab) Acquire() (*os.File, error) {
	if filepath.Dir(l.Dir) == Base {
		release, err := lockBase()
		if err != nil {
			return nil, err
		}
		defer release()
	}
	if err := os.MkdirAll(l.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("make the lab directory: %w", err)
	}
	if err := l.ours(); err != nil {
		return nil, err
	}
	lock, err := l.lock()
	if err != nil {
		return nil, err
	}
	// pods and PostgreSQL run as other users and must be able to pass, though not to look around
	if err := os.Chmod(l.Dir, 0o711); err != nil {
		lock.Close()
		return nil, fmt.Errorf("make the lab directory: %w", err)
	}
	return lock, nil
}

// lock takes the lab's lock or returns ErrRunning. It is a lock of the open file, not of the process, so PID 1 inherits it.
func (l Lab) lock() (*os.File, error) {
	f, err := os.OpenFile(l.Path(marker), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the lab: %w", err)
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		f.Close()
		if errors.Is(err, unix.EAGAIN) {
			return nil, ErrRunning
		}
		return nil, fmt.Errorf("lock the lab: %w", err)
	}
	return f, nil
}

// ours refuses a directory with content that is not a lab's.
func (l Lab) ours() error {
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return fmt.Errorf("lab directory: %w", err)
	}
	if _, err := os.Stat(l.Path(marker)); len(entries) > 0 && err != nil {
		return fmt.Errorf("lab directory %s is not empty and not a lab's; choose another --dir", l.Dir)
	}
	return nil
}

// pid returns the running lab's PID 1 as seen from outside, or ErrNotRunning. The lock decides: a number in a file may
// belong to another process by now.
func (l Lab) pid() (int, error) {
	f, err := os.Open(l.Path(marker))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNotRunning
	}
	if err != nil {
		return 0, fmt.Errorf("look for the lab: %w", err)
	}
	defer f.Close()
	held := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &held); err != nil {
		return 0, fmt.Errorf("look for the lab: %w", err)
	}
	if held.Type == unix.F_UNLCK {
		return 0, ErrNotRunning
	}
	text, err := os.ReadFile(l.Path("pid"))
	if err != nil {
		return 0, fmt.Errorf("look for the lab: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Alive returns nil while the lab runs, else ErrNotRunning or why it cannot be told.
func (l Lab) Alive() error {
	if l.Inside() {
		return nil
	}
	_, err := l.pid()
	return err
}

// lockBase makes Base, and keeps other lab commands from making or sweeping labs in it until release is called.
func lockBase() (release func(), err error) {
	if err := makeBase(); err != nil {
		return nil, err
	}
	f, err := os.Open(Base)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", Base, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", Base, err)
	}
	return func() { f.Close() }, nil
}

// makeBase makes Base, and refuses one that another user put there first: /var/tmp is open to everybody.
func makeBase() error {
	if err := os.Mkdir(Base, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make %s: %w; the lab needs root", Base, err)
	}
	info, err := os.Lstat(Base)
	if err != nil {
		return fmt.Errorf("look at %s: %w", Base, err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a directory of this user; remove it", Base)
	}
	return nil
}
