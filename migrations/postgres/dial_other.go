//go:build !linux

package postgres

import "syscall"

// limitUnacknowledged leaves it to the keep-alives where TCP_USER_TIMEOUT is not known.
func limitUnacknowledged(string, string, syscall.RawConn) error { return nil }
