package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// advisory is the lock of a session of our own: the server frees it when the session ends, however it ends. A tenant has the whole
// ledger's key shared, and one of its own; the whole ledger has its key alone.
//
// Whoever has it waits for those that have a lease already, and none can take one meanwhile. A lease that has expired is ended, so
// that nothing of its holder's commits afterwards.
type advisory struct {
	ledger
	mine bool // the session has the lock, maybe with a lease still in the way
}

// wholeKey is the advisory lock of the ledger, with all its tenants.
func (l ledger) wholeKey() int64 { return lockKey("schemawave ledger", l.schema) }

// tenantKey is the advisory lock of one tenant.
func (l ledger) tenantKey() int64 { return lockKey("schemawave ledger", l.schema, "tenant", l.tenant) }

// lockKey is an advisory lock's key. Advisory locks belong to one database of the server, so two databases never meet.
func lockKey(parts ...string) int64 {
	sum := sha256.Sum256([]byte(strings.Join(parts, " ")))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// takeSQL takes the lock and then sees to the leases. If the lock is there and one of them is still held, it only does the latter.
func (a *advisory) takeSQL() string {
	try := fmt.Sprintf("pg_catalog.pg_try_advisory_lock(%d)", a.ownKey())
	switch {
	case a.mine:
		try = "true"
	case a.tenant != "": // both or neither
		try = fmt.Sprintf("CASE WHEN NOT pg_catalog.pg_try_advisory_lock_shared(%[1]d) THEN false WHEN %[2]s THEN true ELSE NOT pg_catalog.pg_advisory_unlock_shared(%[1]d) END",
			a.wholeKey(), try)
	}
	return taking(try, fmt.Sprintf("WITH ended AS (%s RETURNING tenant) SELECT FROM %s WHERE %s AND tenant NOT IN (SELECT tenant FROM ended)",
		a.endLeases(a.inTheWay()), a.table("lease"), a.inTheWay()+leased))
}

// taken reads whether the lock is there, after which comes a row for each lease in the way.
func (a *advisory) taken(rows [][][]byte) bool {
	a.mine = string(rows[0][0]) == "true"
	return a.mine && len(rows) == 1
}

func (a *advisory) fence() string { return "" }

func (a *advisory) overdue() bool { return false }

func (a *advisory) dropSQL() string {
	drop := fmt.Sprintf("SELECT pg_catalog.pg_advisory_unlock(%d)", a.ownKey())
	if a.tenant != "" {
		drop += fmt.Sprintf(", pg_catalog.pg_advisory_unlock_shared(%d)", a.wholeKey())
	}
	return drop
}

func (a *advisory) keep(ctx context.Context, _ Config) kept { return kept{ctx, func() {}} }

// ownKey is the key that is not shared.
func (l ledger) ownKey() int64 {
	if l.tenant == "" {
		return l.wholeKey()
	}
	return l.tenantKey()
}

// tryForTransaction tries for the same locks as advisory, until the transaction ends.
func (l ledger) tryForTransaction() string {
	try := fmt.Sprintf("pg_catalog.pg_try_advisory_xact_lock(%d)", l.ownKey())
	if l.tenant != "" {
		try += fmt.Sprintf(" AND pg_catalog.pg_try_advisory_xact_lock_shared(%d)", l.wholeKey())
	}
	return try
}

// advisoryInTheWay is the condition that a row of pg_locks keeps this ledger's lock from being taken.
func (l ledger) advisoryInTheWay(row string) string {
	if l.tenant == "" {
		return lockOf(row, l.wholeKey())
	}
	return fmt.Sprintf("%s OR %s.mode = 'ExclusiveLock' AND %s", lockOf(row, l.tenantKey()), row, lockOf(row, l.wholeKey()))
}

// lockOf is the condition that a row of pg_locks is the advisory lock of that key, of this database or another.
func lockOf(row string, key int64) string {
	return fmt.Sprintf("(%[1]s.locktype = 'advisory' AND %[1]s.objsubid = 1 AND %[1]s.classid = %[2]d AND %[1]s.objid = %[3]d)", row, uint64(key)>>32, uint32(key))
}

// taking is a message that answers whether the advisory locks could be had, and then as the statement does, which sees
// all that was committed before, and does nothing unless locked says so.
func taking(try, statement string) string {
	return fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED;SELECT pg_catalog.set_config('schemawave.locked', (%s)::text, true);%s;COMMIT", try, statement)
}

// locked is the condition that the transaction of taking has the advisory locks.
const locked = "pg_catalog.current_setting('schemawave.locked') = 'true'"
