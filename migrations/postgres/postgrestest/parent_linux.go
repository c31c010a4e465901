package postgrestest

import "syscall"

// dieWithParent has the kernel send SIGQUIT, PostgreSQL's immediate shutdown, when the thread that starts the process ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
