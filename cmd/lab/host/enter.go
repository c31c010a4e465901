package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// entered are the namespaces a command joins. The mount namespace comes last: joining it hides the others' files.
var entered = []struct {
	name string
	kind int
}{
	{"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}, {"net", unix.CLONE_NEWNET},
	{"pid", unix.CLONE_NEWPID}, {"mnt", unix.CLONE_NEWNS},
}

// Inside tells whether this process already lives in the lab. It asks about the thread: Run leaves one that has moved.
func (l Lab) Inside() bool {
	of, err := os.ReadFile(l.Path("netns"))
	if err != nil {
		return false
	}
	own, err := os.Readlink("/proc/thread-self/ns/net")
	return err == nil && own == string(of)
}

// Run runs a command in the lab, in the current directory and with the current standard streams, and returns its exit
// code: 128 + n when signal n ended it. Signals sent to this process are passed on. The command dies with this process.
// This program has to call Become when it is started as "become -- COMMAND...".
func (l Lab) Run(argv, env []string) (int, error) {
	type result struct {
		code int
		err  error
	}
	done := make(chan result)
	// the namespaces and the parent's death are a thread's affair: this thread is never given back
	go func() {
		runtime.LockOSThread()
		code, err := l.runOnThread(argv, env)
		done <- result{code, err}
	}()
	r := <-done
	return r.code, r.err
}

func (l Lab) runOnThread(argv, env []string) (int, error) {
	dir, err := os.Getwd()
	if err != nil {
		return 0, fmt.Errorf("run %s: %w", argv[0], err)
	}
	if !l.Inside() {
		if err := l.enter(); err != nil {
			return 0, err
		}
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"become", "--"}, argv...)...)
	cmd.Args[0] = "lab"
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("run %s: %w", argv[0], err)
	}
	exited := make(chan struct{})
	defer close(exited)
	go forward(signals, exited, cmd.Process)
	return exitCode(cmd.Wait())
}

// Become turns this process into the command, which ends with the parent's thread. The flag has to be set here: what
// Go's Pdeathsig checks, the parent's number, cannot be seen across PID namespaces. Become returns only with an error.
func Become(argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err == nil {
		err = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
	}
	if err == nil {
		err = syscall.Exec(path, argv, os.Environ())
	}
	return fmt.Errorf("run %s: %w", argv[0], err)
}

// enter moves the current thread into the lab's namespaces; of the PID namespace only its children become members.
func (l Lab) enter() error {
	pid, err := l.pid()
	if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // a shared root directory cannot change namespaces
		return fmt.Errorf("enter the lab: %w", err)
	}
	var files []*os.File
	for _, ns := range entered {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, ns.name))
		if err != nil {
			return fmt.Errorf("enter the lab: %w", err)
		}
		defer f.Close()
		files = append(files, f)
	}
	for i, ns := range entered {
		if err := unix.Setns(int(files[i].Fd()), ns.kind); err != nil {
			return fmt.Errorf("enter the lab's %s namespace: %w; the lab needs root", ns.name, err)
		}
	}
	return nil
}

// forward passes signals on. What the terminal's keys send reaches the whole foreground group by itself.
func forward(signals <-chan os.Signal, exited <-chan struct{}, to *os.Process) {
	for {
		select {
		case <-exited:
			return
		case s := <-signals:
			if (s == syscall.SIGINT || s == syscall.SIGQUIT) && inForeground() {
				continue
			}
			_ = to.Signal(s)
		}
	}
}

// inForeground tells whether the terminal, if there is one, sends its signals to this process's group.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
