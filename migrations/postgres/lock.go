package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

const (
	minPoll     = 20 * time.Millisecond
	maxPoll     = 90 * time.Millisecond // a waiting runner goes on soon after the one before it has ended
	tellsAgain  = 15 * time.Second      // how often a waiting runner repeats who it waits for
	holderWidth = 120                   // bytes of the holder's statement
)

// lock keeps the other runners of a ledger out.
type lock interface {
	takeSQL() string                   // tries to take it, without waiting
	taken(rows [][][]byte) bool        // whether takeSQL's answer says so
	fence() string                     // a statement that fails in a transaction unless the lock is still held; empty if the session cannot outlive it
	overdue() bool                     // whether another runner may have it meanwhile: nothing that the fence does not stop is to be sent
	dropSQL() string                   // gives it back
	holderSQL() string                 // a row for who has it, to be read by holder
	holder(row [][]byte) string        // describes who has it
	keep(context.Context, Config) kept // keeps it from expiring; the returned context ends if it is lost
}

// kept is a lock that is looked after.
type kept struct {
	context.Context
	stop func()
}

// advisory is the lock of a session of our own: the server frees it when the session ends, however it ends.
type advisory struct{ key int64 }

func (l ledger) advisory() *advisory {
	if l.tenant == "" {
		return &advisory{lockKey("schemawave ledger", l.schema)}
	}
	return &advisory{lockKey("schemawave ledger", l.schema, "tenant", l.tenant)}
}

// lockKey is an advisory lock's key. Advisory locks belong to one database of the server, so two databases never meet.
func lockKey(parts ...string) int64 {
	sum := sha256.Sum256([]byte(strings.Join(parts, " ")))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

func (a *advisory) takeSQL() string {
	return fmt.Sprintf("SELECT pg_catalog.pg_try_advisory_lock(%d)", a.key)
}

func (a *advisory) taken(rows [][][]byte) bool { return string(rows[0][0]) == "t" }

func (a *advisory) fence() string { return "" }

func (a *advisory) overdue() bool { return false }

func (a *advisory) dropSQL() string {
	return fmt.Sprintf("SELECT pg_catalog.pg_advisory_unlock(%d)", a.key)
}

func (a *advisory) holderSQL() string {
	return fmt.Sprintf(`SELECT coalesce(a.application_name, ''), k.pid, coalesce(to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ'), ''), coalesce(a.query, '')
FROM pg_catalog.pg_locks k LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = k.pid
WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1 AND k.classid = %d AND k.objid = %d
AND k.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`, uint64(a.key)>>32, uint32(a.key))
}

// holder tells the application's name with job or pod, the server process, since when, and what it runs.
func (a *advisory) holder(row [][]byte) string {
	return fmt.Sprintf("%s, server process %s, connected since %s, running %s", fallback(string(row[0]), "an unnamed session"), row[1], row[2], running(string(row[3])))
}

func (a *advisory) keep(ctx context.Context, _ Config) kept { return kept{ctx, func() {}} }

// acquire takes the run's lock and returns the ledger as it is from then on, in one round trip if the lock is free; before is
// what has to be done first. It asks again and again rather than inside pg_advisory_lock(): a waiter in there holds a snapshot,
// and CREATE INDEX CONCURRENTLY of the holder would wait for it, and it for the holder.
func (r *runner) acquire(ctx context.Context, s *session, before ...string) (state, error) {
	var told time.Time
	var who string
	messages := append(before, r.lock.takeSQL(), r.ledger.readSQL())
	at := len(before)
	for wait := minPoll; ; wait = min(2*wait, maxPoll) {
		replies, err := s.askAll(ctx, messages...)
		if err != nil {
			return state{}, err
		}
		if r.lock.taken(replies[at].rows) {
			if len(replies) == at+2 {
				return r.ledger.parse(replies[at+1].rows)
			}
			rows, err := s.ask(ctx, r.ledger.readSQL())
			if err != nil {
				return state{}, err
			}
			return r.ledger.parse(rows)
		}
		messages, at = []string{r.lock.takeSQL()}, 0 // the history is asked for again when the lock is there
		if now := time.Now(); now.Sub(told) > tellsAgain {
			told = now
			who = r.holder(ctx, s)
			r.log.Info("waiting for the migration lock", "holder", who)
		}
		if err := pause(ctx, wait/2+rand.N(wait/2)); err != nil {
			e := interrupted(ctx)
			e.Failure.Message += " while waiting for the migration lock, held by " + who
			return state{}, e
		}
	}
}

// holder describes who has the lock.
func (r *runner) holder(ctx context.Context, s *session) string {
	rows, err := s.ask(ctx, r.lock.holderSQL())
	if err != nil || len(rows) == 0 {
		return "nobody any more"
	}
	return r.lock.holder(rows[0])
}

// running tells what a holder's statement does: the file, if it is a migration of ours, else the statement without its data.
func running(query string) string {
	if rest, ok := strings.CutPrefix(query, notePrefix); ok {
		file, _, _ := strings.Cut(rest, noteSuffix)
		return file
	}
	return migrations.Redact(query, holderWidth)
}

// The note in front of a migration's SQL, by which pg_stat_activity shows its file.
const (
	notePrefix = "/* schemawave: "
	noteSuffix = " */"
)

// note names the file in a comment.
func note(path string) string {
	return notePrefix + strings.NewReplacer("*/", "* /", "/*", "/ *").Replace(path) + noteSuffix
}

// pause sleeps, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
