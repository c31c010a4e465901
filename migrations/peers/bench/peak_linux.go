package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
)

var highWater = regexp.MustCompile(`(?m)^VmHWM:\s*(\d+) kB$`)

// peakOf runs a command and returns the most memory that was resident, in bytes. It asks the kernel in the process's last
// moment: what wait4 tells begins with the memory of the process that started it, this one (Linux, exec_mmap).
func peakOf(cmd *exec.Cmd) (peak int64, err error) {
	runtime.LockOSThread() // a process is traced by one thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return 0, err
	}
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACEEXIT); err != nil {
		return 0, err
	}
	for signal := syscall.Signal(0); ; {
		if err := syscall.PtraceCont(pid, int(signal)); err != nil {
			return 0, err
		}
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
			return 0, err
		}
		switch {
		case status.Exited() && status.ExitStatus() == 0 && peak > 0:
			return peak, nil
		case status.Exited(), status.Signaled():
			return 0, fmt.Errorf("%s ended with %v", cmd.Path, status)
		case status.TrapCause() == syscall.PTRACE_EVENT_EXIT:
			signal = 0
			if peak, err = highWaterOf(pid); err != nil {
				return 0, err
			}
		default:
			signal = status.StopSignal()
		}
	}
}

func highWaterOf(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := highWater.FindSubmatch(status)
	if m == nil {
		return 0, errors.New("the kernel does not tell VmHWM")
	}
	kilobytes, err := strconv.ParseInt(string(m[1]), 10, 64)
	return kilobytes << 10, err
}
