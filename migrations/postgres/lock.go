package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

const (
	minPoll     = 50 * time.Millisecond
	maxPoll     = time.Second
	tellsAgain  = 15 * time.Second // how often a waiting runner repeats who it waits for
	holderWidth = 120              // bytes of the holder's statement
)

// key is the advisory lock of the ledger's schema. Advisory locks belong to one database of the server, so two
// databases never meet.
func (l ledger) key() int64 {
	sum := sha256.Sum256([]byte("schemawave ledger " + l.schema))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

func (l ledger) lockSQL() string {
	return fmt.Sprintf("SELECT pg_catalog.pg_try_advisory_lock(%d)", l.key())
}

func (l ledger) unlockSQL() string {
	return fmt.Sprintf("SELECT pg_catalog.pg_advisory_unlock(%d)", l.key())
}

// lock takes the session lock and returns the ledger as it is from then on, in one round trip if the lock is free. It asks
// again and again rather than inside pg_advisory_lock(): a waiter in there holds a snapshot, and CREATE INDEX
// CONCURRENTLY of the holder would wait for it, and it for the holder.
func (l ledger) lock(ctx context.Context, s *session, log *slog.Logger) (state, error) {
	var told time.Time
	var who string
	messages := []string{l.lockSQL(), l.readSQL("", "")}
	for wait := minPoll; ; wait = min(2*wait, maxPoll) {
		replies, err := s.askAll(ctx, messages...)
		if err != nil {
			return state{}, err
		}
		if string(replies[0].rows[0][0]) == "t" {
			if len(replies) == 2 {
				return l.parse(replies[1].rows)
			}
			rows, err := s.ask(ctx, l.readSQL("", ""))
			if err != nil {
				return state{}, err
			}
			return l.parse(rows)
		}
		messages = messages[:1] // the history is asked for again when the lock is there
		if now := time.Now(); now.Sub(told) > tellsAgain {
			told = now
			who = l.holder(ctx, s)
			log.Info("waiting for the migration lock", "holder", who)
		}
		if err := pause(ctx, wait/2+rand.N(wait/2)); err != nil {
			e := interrupted(ctx)
			e.Failure.Message += " while waiting for the migration lock, held by " + who
			return state{}, e
		}
	}
}

// holder describes who has the lock: application name with job or pod, server process, since when, and what it runs.
func (l ledger) holder(ctx context.Context, s *session) string {
	key := uint64(l.key())
	rows, err := s.ask(ctx, fmt.Sprintf(`SELECT a.pid, coalesce(a.application_name, ''), coalesce(to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ'), ''), coalesce(a.query, '')
FROM pg_catalog.pg_locks k LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = k.pid
WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1 AND k.classid = %d AND k.objid = %d
AND k.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`, key>>32, uint32(key)))
	if err != nil || len(rows) == 0 {
		return "nobody any more"
	}
	row := rows[0]
	return fmt.Sprintf("%s, server process %s, connected since %s, running %s", fallback(string(row[1]), "an unnamed session"), row[0], row[2], running(string(row[3])))
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
