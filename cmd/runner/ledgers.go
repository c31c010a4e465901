package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// ledgers tell a wait what is applied, while nobody else does.
type ledgers struct {
	conns    map[string]*pgconn.Config // by environment/database
	asked    map[string]bool
	progress func(message string) // nil: nobody is told
}

// newLedgers reads where the databases of the targets are.
func newLedgers(getenv func(string) string, targets []events.Target) (*ledgers, error) {
	var names, databases []string
	for _, t := range targets {
		if name := databaseOf(t); !slices.Contains(names, name) {
			names, databases = append(names, name), append(databases, t.Database)
		}
	}
	conns, err := DatabaseConns(getenv, databases...)
	if err != nil {
		return nil, err
	}
	l := &ledgers{conns: map[string]*pgconn.Config{}, asked: map[string]bool{}}
	for i, name := range names {
		l.conns[name] = conns[i]
	}
	return l, nil
}

func databaseOf(t events.Target) string {
	return events.Target{Environment: t.Environment, Database: t.Database}.String()
}

// ledgerTimeout bounds one look, so that a database that hangs does not keep the wait from NATS.
const ledgerTimeout = 5 * time.Second

// state is what the ledger of a database, or of one of its tenants, says: without a lock, in one query, as a guard asks. What is ready is
// so since no later than now.
func (l *ledgers) state(ctx context.Context, environment, database, tenant string) (events.State, error) {
	s := events.State{Environment: environment, Database: database, Tenant: tenant}
	if !l.asked[s.Name()] && l.progress != nil {
		l.progress(fmt.Sprintf("nats tells nothing of %s: asking its ledger, which tells of no failed attempts", s.Name()))
	}
	l.asked[s.Name()] = true
	r, err := postgres.Guard(ctx, postgres.Config{
		Conn: l.conns[databaseOf(events.Target{Environment: environment, Database: database})], Database: database, Tenant: tenant,
		Deadline: ledgerTimeout, Retries: -1,
	}, postgres.Question{Absent: func([]migrations.Applied) (string, error) { return "", nil }})
	if err != nil {
		return s, fmt.Errorf("its ledger: %w", err)
	}
	if r.To != "" {
		s.Ready = &events.Ready{Version: string(r.To), MinCompatible: string(r.MinCompatible), Evidence: events.EvidenceLedger, Since: r.Finished}
	}
	return s, nil
}
