package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// usersOf selects the transactions that have used a table.
func usersOf(table string) string {
	return fmt.Sprintf(`SELECT DISTINCT l.virtualtransaction, coalesce('server process ' || l.pid, 'a prepared transaction')
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
WHERE l.relation = %s AND l.granted AND d.datname = pg_catalog.current_database() AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()`, table)
}

// withSnapshot selects the transactions of the database that have a snapshot, but for those that nobody waits for: VACUUM and
// what autovacuum does (WaitForOlderSnapshots in PostgreSQL's commands/indexcmds.c).
const withSnapshot = `SELECT l.virtualtransaction, 'server process ' || a.pid
FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock'
WHERE a.datname = pg_catalog.current_database() AND a.backend_xmin IS NOT NULL AND a.usesysid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.pid = a.pid)`

// underWay selects what the server still executes of a file for a runner that is gone, or was taken for dead. A statement outside
// a transaction goes on behind a pooler, and no lease keeps its end from coming; a session's lock is freed only after it.
func underWay(path string) string {
	return fmt.Sprintf(`SELECT a.pid || ' since ' || a.query_start, 'server process ' || a.pid FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database() AND a.state = 'active' AND a.pid <> pg_catalog.pg_backend_pid() AND starts_with(a.query, %s)`, literal(note(path)))
}

// outwait waits until the transactions that a query selects have ended. It holds nothing meanwhile, so that nobody waits for it,
// and does not wait for those that begin later, so that it comes to its end. Once the statement timeout has passed, the
// statement itself is to tell what is in its way.
func (w *walk) outwait(ctx context.Context, st migrations.Statement, transactions string) error {
	if transactions == "" {
		return nil
	}
	var first map[string]string
	began, told := time.Now(), time.Time{}
	for wait := minPoll; ; wait = min(2*wait, maxPoll) {
		rows, err := w.session.ask(ctx, transactions)
		if err != nil {
			return err
		}
		left := map[string]string{}
		var who []string
		for _, row := range rows {
			if id := string(row[0]); first == nil || first[id] != "" {
				left[id] = string(row[1])
				who = append(who, left[id])
			}
		}
		first = left
		now := time.Now()
		if len(left) == 0 || w.cfg.StatementTimeout > 0 && now.Sub(began) > w.cfg.StatementTimeout {
			return nil
		}
		if now.Sub(told) > tellsAgain {
			told = now
			w.log.Info("waiting for older transactions to end", "of", strings.Join(who, ", "), "file", w.migration.Up.Path, "line", st.Line)
		}
		if pause(ctx, wait/2+rand.N(wait/2)) != nil {
			return interrupted(ctx)
		}
	}
}
