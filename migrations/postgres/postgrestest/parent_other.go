//go:build !linux

package postgrestest

import "syscall"

// dieWithParent does nothing: only Linux can end a process with its parent. There a killed test leaves its server behind.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
