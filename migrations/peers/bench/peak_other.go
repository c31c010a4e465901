//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// peakOf runs a command and returns the most memory that was resident, in bytes as macOS counts.
func peakOf(cmd *exec.Cmd) (int64, error) {
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss, nil
}
