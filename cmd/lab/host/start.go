package host

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// Start makes the lab's namespaces and starts this program in them as PID 1, with the arguments args. It returns what
// the lab reports on its file descriptor ReportFD. lock is the lab's lock, which PID 1 keeps; it is closed here.
//
// tied ends the lab when the calling thread ends: the caller has to lock its goroutine to the thread and stay on it.
// Otherwise the lab is a daemon.
func (l Lab) Start(lock *os.File, tied bool, args ...string) (report *os.File, err error) {
	defer lock.Close()
	if err := os.MkdirAll(l.Path("logs"), 0o755); err != nil {
		return nil, fmt.Errorf("start the lab: %w", err)
	}
	log, err := os.OpenFile(l.Path("logs", "lab.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start the lab: %w", err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the lab: %w", err)
	}
	defer w.Close()

	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "lab"
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock, w}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
			syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	if tied {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	if err := cmd.Start(); err != nil {
		r.Close()
		return nil, fmt.Errorf("make the lab's namespaces: %w; root needs the capability CAP_SYS_ADMIN here", err)
	}
	go func() { _ = cmd.Wait() }() // End asks the kernel; this only reaps
	return r, os.WriteFile(l.Path("pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644)
}
