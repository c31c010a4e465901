package postgres_test

import (
	"net"
	"syscall"
)

const tcpRepair = 19 // TCP_REPAIR, linux/tcp.h; package syscall lacks it

// vanish forgets a connection without a word to the other side, as when the machine at this end loses its power: the other
// side learns of it only from what it asks itself. It needs CAP_NET_ADMIN, and reports whether that was given.
func vanish(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var refused error
	if err := raw.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpRepair, 1)
	}); err != nil || refused != nil {
		return false
	}
	return c.Close() == nil
}
