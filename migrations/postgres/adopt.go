package postgres

import (
	"fmt"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// adopted is a migration that is recorded without being run.
type adopted struct {
	migrations.Migration
	at time.Time // when it was applied; zero: not known
}

// adoptSQL records versioned migrations as applied in this order, and repeatable ones as run after them. What the files say
// now is taken for what was applied. The rows refer to no run.
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
