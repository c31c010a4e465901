package postgres

import (
	"syscall"
	"time"
)

const (
	tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT, linux/tcp.h; package syscall lacks it
	unacknowledged = time.Minute
)

// limitUnacknowledged closes a TCP connection whose peer has not acknowledged what was sent for a minute; without it the
// kernel repeats for about 15 minutes.
func limitUnacknowledged(network, _ string, c syscall.RawConn) error {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil
	}
	var err error
	if e := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(unacknowledged.Milliseconds()))
	}); e != nil {
		return e
	}
	return err
}
