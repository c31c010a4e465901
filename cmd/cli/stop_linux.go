package cli

import (
	"os"
	"syscall"
)

// toProcessOne are the signals that tell only process 1 of a container to stop. On a terminal SIGWINCH says that its window has
// another size (tty_ioctl(4)), there too.
func toProcessOne() []os.Signal {
	if os.Getpid() != 1 {
		return nil
	}
	if terminal, err := os.Open("/dev/tty"); err == nil {
		terminal.Close()
		return nil
	}
	return []os.Signal{syscall.SIGWINCH}
}
