package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// adopted is a migration that is recorded without being run.
type adopted struct {
	migrations.Migration
	at time.Time // when it was applied; zero: not known
}

// adopt records a history in a ledger that has none. One that has this very history already is left as it is.
func (r *runner) adopt(s *session, st state, versioned, repeatable []adopted) (carryOut func(context.Context) error, err error) {
	if len(versioned) > 0 && st.holds(versioned) {
		return nil, nil
	}
	if err := st.noHistory(r.cfg.LedgerSchema); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return r.write(ctx, s, r.ledger.adoptSQL(versioned, repeatable)...) }, nil
}

// holds reports whether the versioned migrations of a history are these, with these checksums.
func (st state) holds(list []adopted) bool {
	applied := map[migrations.Version]string{}
	for _, e := range st.entries {
		if e.Version != "" {
			applied[e.Version] = e.Checksum
		}
	}
	for _, a := range list {
		if checksum, ok := applied[a.Version]; !ok || checksum != a.Checksum {
			return false
		}
	}
	return len(applied) == len(list)
}

// adoptSQL records versioned migrations as applied in this order, and repeatable ones as run after them. What the files say
// now is taken for what was applied. The rows refer to no run, and what the journal has of them, half applied by an earlier one, goes.
func (l ledger) adoptSQL(versioned, repeatable []adopted) []string {
	var statements []string
	var tip migrations.Version
	var d migrations.Digester
	rows := make([]string, len(versioned))
	for i, a := range versioned {
		d.Add(a.Version, a.Checksum)
		rows[i] = "(" + strings.Join([]string{literal(l.tenant), literal(string(a.Version)), literal(string(tip)), literal(a.Name), literal(a.Checksum),
			literal(d.Sum()), literal(string(a.MinCompatible)), downSQL(a.Migration), a.atSQL()}, ", ") + ")"
		tip = a.Version
	}
	if len(rows) > 0 {
		statements = append(statements, fmt.Sprintf("INSERT INTO %s (tenant, version, previous, name, checksum, digest, min_compatible, down, applied_at) VALUES %s",
			l.table("migration"), strings.Join(rows, ",\n")))
	}
	rows = make([]string, len(repeatable))
	for i, a := range repeatable {
		rows[i] = "(" + strings.Join([]string{literal(l.tenant), literal(a.Name), literal(a.Checksum), literal(string(tip)), a.atSQL()}, ", ") + ")"
	}
	if len(rows) > 0 {
		statements = append(statements, fmt.Sprintf("INSERT INTO %s (tenant, name, checksum, after, applied_at) VALUES %s",
			l.table("repeatable"), strings.Join(rows, ",\n")))
	}
	for _, a := range slices.Concat(versioned, repeatable) {
		statements = append(statements, l.forgetSQL(a.ID()))
	}
	return statements
}

func (a adopted) atSQL() string {
	if a.at.IsZero() {
		return "pg_catalog.clock_timestamp()"
	}
	return "timestamptz " + literal(a.at.UTC().Format(time.RFC3339Nano))
}

// downSQL is the SQL that reverts a migration, as a value.
func downSQL(m migrations.Migration) string {
	if m.Down == nil {
		return "NULL"
	}
	return literal(m.Down.SQL)
}
