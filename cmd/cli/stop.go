package cli

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// StopSignals are what tells this process to stop: SIGINT and SIGTERM, and what images have in their place (STOPSIGNAL), which
// Kubernetes sends too: SIGQUIT (php-fpm, nginx), SIGHUP, and as process 1 SIGWINCH (Apache). SIGHUP stays ignored where nohup
// has it so.
func StopSignals() []os.Signal {
	all := append([]os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP}, toProcessOne()...)
	return slices.DeleteFunc(all, func(s os.Signal) bool { return s == syscall.SIGHUP && signal.Ignored(s) })
}
