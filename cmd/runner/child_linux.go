package runner

import (
	"errors"
	"os"
	"syscall"
)

// childAttributes put the child into a group of its own, and let the kernel kill it if this process is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// signalGroup sends a signal to all processes of the group that a process leads. It may have ended by itself, which is as well.
func signalGroup(leader *os.Process, signal os.Signal) {
	syscall.Kill(-leader.Pid, signal.(syscall.Signal)) //nolint:errcheck // see above
}

// wait4 waits for the end of the process. As process 1 of a container it also takes leave of every process that has become ours
// because its parent ended: nobody else does.
func wait4(process *os.Process, init bool) (syscall.WaitStatus, error) {
	if !init {
		return exitStatus(process)
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case pid == process.Pid:
			return status, nil
		}
	}
}
