package postgres

import (
	"context"
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

// lock keeps out the other runners that must not work at the same time: of one tenant those of the same, and of the whole database
// all. A run on a session of its own has advisory locks; one through a pooler has a lease. Each respects both.
type lock interface {
	takeSQL() string                   // tries to take it, without waiting
	taken(rows [][][]byte) bool        // whether takeSQL's answer says so
	fence() string                     // a statement that fails in a transaction unless the lock is still held; empty if the session cannot outlive it
	overdue() bool                     // whether another runner may have it meanwhile: nothing that the fence does not stop is to be sent
	dropSQL() string                   // gives it back
	keep(context.Context, Config) kept // keeps it from expiring; the returned context ends if it is lost
}

// kept is a lock that is looked after.
type kept struct {
	context.Context
	stop func()
}

// acquire takes the run's lock and returns the ledger as it is from then on, in one round trip if the lock is free; before is
// what has to be done first. It asks again and again rather than inside pg_advisory_lock(): a waiter in there holds a snapshot,
// and CREATE INDEX CONCURRENTLY of the holder would wait for it, and it for the holder.
func (r *runner) acquire(ctx context.Context, s *session, before ...string) (state, error) {
	var told, since time.Time
	var who string
	defer func() {
		if !since.IsZero() {
			r.waited += time.Since(since)
		}
	}()
	messages := append(before, r.lock.takeSQL(), r.ledger.readSQL())
	at := len(before)
	for wait := minPoll; ; wait = min(2*wait, maxPoll) {
		replies, err := s.askAll(ctx, messages...)
		switch {
		case err != nil && ctx.Err() != nil && who != "":
			return state{}, interruptedBehind(ctx, who)
		case err != nil:
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
		now := time.Now()
		if since.IsZero() {
			since = now
		}
		if now.Sub(told) > tellsAgain {
			told = now
			who = r.holder(ctx, s)
			r.log.Info("waiting for the migration lock", "holder", who)
		}
		if err := pause(ctx, wait/2+rand.N(wait/2)); err != nil {
			return state{}, interruptedBehind(ctx, who)
		}
	}
}

// interruptedBehind says who had the migration lock for which a run was waiting when it was interrupted.
func interruptedBehind(ctx context.Context, holder string) error {
	e := interrupted(ctx)
	e.Failure.Message += " while waiting for the migration lock, held by " + holder
	return e
}

// holder describes who is in the way of the lock.
func (r *runner) holder(ctx context.Context, s *session) string {
	rows, err := s.ask(ctx, r.ledger.holdersSQL())
	if err != nil || len(rows) == 0 {
		return "nobody any more"
	}
	said := describeHolder(rows[0])
	if others := len(rows) - 1; others > 0 {
		said += fmt.Sprintf("; and %d more", others)
	}
	return said
}

// holdersSQL asks for a row for each who has a lease or an advisory lock, to be read by describeHolder. The leases come first: who
// has an advisory lock beside one is only the next.
func (l ledger) holdersSQL() string {
	return fmt.Sprintf(`SELECT holder, NULL, to_char(acquired, 'YYYY-MM-DD HH24:MI:SS TZ'), NULL, expires < pg_catalog.clock_timestamp() FROM %s WHERE %s
UNION ALL SELECT coalesce(a.application_name, ''), k.pid, coalesce(to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ'), ''), coalesce(a.query, ''), NULL
FROM pg_catalog.pg_locks k LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = k.pid
WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1 AND k.pid <> pg_catalog.pg_backend_pid() AND (%s)
AND k.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
ORDER BY 2 NULLS FIRST`, l.table("lease"), l.inTheWay()+leased, l.advisoryInTheWay("k"))
}

// describeHolder tells the application's name with job or pod and since when it works; of one that has an advisory lock, the server
// process too, and what it runs.
func describeHolder(row [][]byte) string {
	if pid := row[1]; pid != nil {
		return fmt.Sprintf("%s, server process %s, connected since %s, running %s", fallback(string(row[0]), "an unnamed session"), pid, row[2], running(string(row[3])))
	}
	said := fmt.Sprintf("%s, working since %s through a pooler", row[0], row[2])
	if string(row[4]) == "t" {
		said += ", not heard of any more; its last transaction is still under way"
	}
	return said
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
