package postgres

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"time"
)

// strayPrefix begins the application's name in the sessions of a ledger's tools, by which those are found that outlive their client.
func (x *exclusive) strayPrefix() string {
	return fmt.Sprintf("schemawave-exec/%08x/", uint32(x.ledger.ownKey()))
}

// toolSettings are for the tool's own sessions: the timeouts, what ends the statement of a client that is dead, and the name.
func (x *exclusive) toolSettings(s *session) map[string]string {
	if s.pooled {
		return nil
	}
	settings := maps.Clone(s.settings)
	maps.DeleteFunc(settings, func(name, _ string) bool {
		return name != "lock_timeout" && name != "statement_timeout" && name != checkInterval && !strings.HasPrefix(name, "tcp_")
	})
	name := x.strayPrefix() + fallback(x.cfg.Pod, x.cfg.Job)
	settings["application_name"] = name[:min(len(name), maxIdentifier)]
	return settings
}

// endStrays waits until no session of a tool is at work any more, and ends those that this role may end: their client is dead, for
// the lock is ours, but the server may not know yet, and carry out the client's last statement while the next tool works.
func (x *exclusive) endStrays(ctx context.Context, s *session) error {
	if s.pooled {
		return nil // a pooler's sessions keep the name of a client that has gone
	}
	prefix := x.strayPrefix()
	strays := fmt.Sprintf(`SELECT a.pid, pg_catalog.pg_has_role(a.usesysid, 'USAGE') AND (NOT r.rolsuper OR pg_catalog.current_setting('is_superuser') = 'on')
FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = pg_catalog.current_database() AND pg_catalog.left(a.application_name, %d) = %s AND a.state IS DISTINCT FROM 'idle'`, len(prefix), literal(prefix))
	for wait, told := minPoll, (time.Time{}); ; wait = min(2*wait, maxPoll) {
		rows, err := s.ask(ctx, strays)
		if err != nil || len(rows) == 0 {
			return err
		}
		if time.Since(told) > tellsAgain {
			told = time.Now()
			x.log.Info("waiting for what a tool has left running in the server", "pids", column(rows))
		}
		for _, row := range rows {
			if string(row[1]) != "t" {
				continue
			}
			if _, err := s.ask(ctx, fmt.Sprintf("SELECT pg_catalog.pg_terminate_backend(%s)", row[0])); err != nil {
				return err
			}
		}
		if pause(ctx, wait/2+rand.N(wait/2)) != nil {
			return interrupted(ctx)
		}
	}
}
