package postgres

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

const (
	leaseTerm  = 15 * time.Second // how long a lease holds that is not renewed
	leaseRenew = 3 * time.Second
	lostLease  = "22012" // division_by_zero: what the fence fails with
)

// lease is the lock behind a connection pooler, where a session's lock would stay with a server session that serves others: a
// row that says who may work, under which token, and until when.
//
// The token is the fence. Each transaction of the run first locks the row with its token in it, and fails if it is not: no
// lease is taken over while such a transaction is under way, and none of an earlier holder's commits afterwards. The server's
// clock alone decides what has expired.
//
// A statement outside a transaction has no fence. It is not sent when the term may be over by the clock here, and whoever takes the
// lease over waits while the server executes it. One that is held up for longer on its way to the server escapes both.
type lease struct {
	ledger
	who   string // the application's name and the run's id
	token int64

	mu      sync.Mutex
	renewed time.Time // when the renewal was asked for that succeeded last
	wall    time.Time // the same, by the wall clock alone
}

func (l ledger) lease(cfg Config, run string) *lease {
	return &lease{ledger: l, who: identity(cfg) + " run " + run}
}

// takeSQL takes a lease that has expired while nobody is in the way; but not while a transaction of the holder is under way. The
// advisory locks keep away those who have them for longer, and two who take leases at the same time. A lease that this very run had
// before its connection broke is taken in any case, unless it has expired.
func (l *lease) takeSQL() string {
	others := l.inTheWay() + " AND tenant <> " + literal(l.tenant)
	return taking(l.tryForTransaction(), fmt.Sprintf(`%[5]s;
UPDATE %[1]s SET token = token + 1, holder = %[2]s, acquired = pg_catalog.clock_timestamp(), expires = %[3]s
WHERE tenant IN (SELECT tenant FROM %[1]s WHERE %[4]s AND CASE WHEN expires < pg_catalog.clock_timestamp()
	THEN %[6]s AND NOT EXISTS (SELECT FROM %[1]s WHERE %[7]s) ELSE holder = %[2]s END FOR UPDATE SKIP LOCKED) RETURNING token`,
		l.table("lease"), literal(l.who), inAWhile(leaseTerm), l.mine(""), l.endLeases(others), locked, others+leased))
}

// taken reads the token, which comes after whether the advisory locks could be had.
func (l *lease) taken(rows [][][]byte) bool {
	if len(rows) < 2 {
		return false
	}
	token, err := strconv.ParseInt(string(rows[1][0]), 10, 64)
	l.token = token
	return err == nil
}

// inTheWay selects the leases that must not be held at the same time: of a tenant its own and the whole ledger's, of
// the whole ledger all.
func (l ledger) inTheWay() string {
	if l.tenant == "" {
		return "true"
	}
	return "tenant IN ('', " + literal(l.tenant) + ")"
}

// leased goes on after a condition: the lease was taken and neither given back nor ended since, though it may have expired.
const leased = " AND expires > '-infinity'"

// endLeases ends those of the selected leases that have expired, unless a transaction of the holder is under way: its token fences
// nothing any more.
func (l ledger) endLeases(selected string) string {
	return fmt.Sprintf(`UPDATE %[1]s SET token = token + 1, holder = '', expires = '-infinity' WHERE tenant IN (SELECT tenant FROM %[1]s
WHERE %[2]s AND expires < pg_catalog.clock_timestamp() AND %[3]s FOR UPDATE SKIP LOCKED)`, l.table("lease"), selected+leased, locked)
}

// fence divides by the number of rows with the token. FOR KEY SHARE lets the lease be renewed meanwhile, and not be taken.
func (l *lease) fence() string {
	return fmt.Sprintf("SELECT 1 / count(*) FROM (SELECT FROM %s WHERE %s FOR KEY SHARE) AS held", l.table("lease"), l.held())
}

// overdue is true of a process that was stopped, even before keep has noticed. It goes by this machine's clocks, from before the server
// began to count the term: by the monotonic one, which nobody sets, and by the wall clock, which goes on while the machine is suspended.
func (l *lease) overdue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(time.Since(l.renewed), time.Since(l.wall)) > leaseTerm
}

func (l *lease) renewedAt(asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed, l.wall = asked, asked.Round(0)
}

func (l *lease) held() string { return l.mine(" AND token = %d", l.token) }

// dropSQL takes the token away too, so that a renewal that was held up on its way does not find what it renews.
func (l *lease) dropSQL() string {
	return fmt.Sprintf("UPDATE %s SET token = token + 1, expires = '-infinity' WHERE %s", l.table("lease"), l.held())
}

// inAWhile is a time on the server's clock.
func inAWhile(d time.Duration) string {
	return fmt.Sprintf("pg_catalog.clock_timestamp() + interval '%d ms'", d.Milliseconds())
}

// keep renews the lease on a connection of its own, for the run's own may be busy with one statement for hours. A connection
// that breaks is made again; that the lease is lost is certain only when the server says so, or its term is over.
func (l *lease) keep(ctx context.Context, cfg Config) kept {
	ctx, lost := context.WithCancelCause(ctx)
	l.renewedAt(time.Now())
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		var s *session
		defer func() {
			if s != nil {
				s.close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing depends on it
			}
		}()
		tick := time.NewTicker(leaseRenew)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			asked := time.Now()
			s = l.renew(ctx, cfg, s, func(held bool) {
				if l.renewedAt(asked); !held {
					lost(leaseLost())
				}
			})
			if l.overdue() {
				lost(leaseLost())
			}
		}
	})
	return kept{ctx, func() {
		close(done)
		work.Wait()
		lost(nil)
	}}
}

// renew renews the lease once and says whether it is held, if the server answers. It returns the session to go on with, nil if
// another is needed.
func (l *lease) renew(ctx context.Context, cfg Config, s *session, said func(held bool)) *session {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseRenew)
	defer cancel()
	var err error
	if s == nil {
		if s, err = connect(ctx, cfg); err != nil {
			return nil
		}
	}
	rows, err := s.ask(ctx, fmt.Sprintf("UPDATE %s SET expires = %s WHERE %s RETURNING token", l.table("lease"), inAWhile(leaseTerm), l.held()))
	if err != nil {
		s.pg.Conn().Close()
		return nil
	}
	said(len(rows) == 1)
	return s
}

// leaseLost is the error of a run that was taken for dead.
func leaseLost() *Error {
	return fail(migrations.ExitBusy, "another runner has taken the lease over, because this one did not renew it in time",
		"run it again; if it happens again, look for what stops this process or its network for seconds")
}
