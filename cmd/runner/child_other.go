//go:build !linux

package runner

import (
	"os"
	"syscall"
)

// childAttributes are nothing special: only Linux can promise that a child does not outlive its parent.
func childAttributes() *syscall.SysProcAttr { return nil }

// signalGroup sends a signal to the process alone. It may have ended by itself, which is as well.
func signalGroup(leader *os.Process, signal os.Signal) {
	leader.Signal(signal) //nolint:errcheck // see above
}

// wait4 waits for the end of the process.
func wait4(process *os.Process, _ bool) (syscall.WaitStatus, error) { return exitStatus(process) }
