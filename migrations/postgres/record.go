package postgres

import (
	"fmt"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// insertSQL records a migration as following the version applied before it. digest is that of the history with it. It fails if that
// version is not there: with a NULL in previous (SQLSTATE 23514), for the foreign key is a trigger, which does not fire where
// session_replication_role is replica.
func (l ledger) insertSQL(m migrations.Migration, previous migrations.Version, digest, run string) string {
	before := fmt.Sprintf("SELECT version FROM %s WHERE %s", l.table("migration"), l.mine(" AND version = %s", literal(string(previous))))
	return fmt.Sprintf("INSERT INTO %s (tenant, version, previous, name, checksum, digest, min_compatible, down, run) VALUES (%s, %s, (%s), %s, %s, %s, %s, %s, %s)",
		l.table("migration"), literal(l.tenant), literal(string(m.Version)), before, literal(m.Name), literal(m.Checksum), literal(digest),
		literal(string(m.MinCompatible)), downSQL(m), literal(run))
}

// deleteSQL forgets the migration that was applied last; digest is that of the history without it, and becomes the run's. What the
// repeatable migrations stand on, or they themselves, may go with it, so none is in force any more; once there are no versions left,
// nothing is remembered of them. It fails if another migration refers to the row (SQLSTATE 23503) or if the row is not there (a NULL
// in the run's digest, 23502).
func (l ledger) deleteSQL(version migrations.Version, only bool, digest, run string) string {
	repeatables := l.staleSQL("")
	if only {
		repeatables = fmt.Sprintf("DELETE FROM %s WHERE %s", l.table("repeatable"), l.mine(""))
	}
	return fmt.Sprintf("WITH gone AS (DELETE FROM %s WHERE %s RETURNING version), repeatables AS (%s) UPDATE %s SET digest = (SELECT %s FROM gone) WHERE id = %s",
		l.table("migration"), l.mine(" AND version = %s", literal(string(version))), repeatables, l.table("run"), literal(digest), literal(run))
}

// repeatSQL records a repeatable migration as following what was applied before it: another one that this run must have
// recorded, or the newest row of table migration. It fails with a NULL in after (SQLSTATE 23502) if that is not so. What the
// journal has of another version of the file that was left half run goes, for it is in force no longer.
func (l ledger) repeatSQL(m migrations.Migration, before *migrations.Migration, tip migrations.Version, run string) string {
	after := fmt.Sprintf("SELECT version FROM %s WHERE %s", l.table("migration"), l.mine(" AND version = %s", literal(string(tip))))
	if before != nil {
		after = fmt.Sprintf("SELECT name FROM %s WHERE %s", l.table("repeatable"),
			l.mine(" AND name = %s AND checksum = %s", literal(before.Name), literal(before.Checksum)))
	}
	return fmt.Sprintf("WITH forgotten AS (%s) INSERT INTO %s AS r (tenant, name, checksum, after, run) VALUES (%s, %s, %s, (%s), %s) ON CONFLICT (tenant, name) DO UPDATE "+
		"SET checksum = excluded.checksum, after = excluded.after, run = excluded.run, applied_at = excluded.applied_at, duration = NULL",
		l.forgetSQL(m.ID()), l.table("repeatable"), literal(l.tenant), literal(m.Name), literal(m.Checksum), after, literal(run))
}

// staleSQL takes back that repeatable migrations are in force as they are recorded; which says of which.
func (l ledger) staleSQL(which string) string {
	return fmt.Sprintf("UPDATE %s SET checksum = '' WHERE %s", l.table("repeatable"), l.mine("")+which)
}

// journalled is the condition that a row of the journal is about the migration that goes by this name there.
func (l ledger) journalled(entry string) string {
	return l.mine(" AND migration = %s", literal(entry))
}

// forgetSQL deletes a migration's journal.
func (l ledger) forgetSQL(entry string) string {
	return fmt.Sprintf("DELETE FROM %s WHERE %s", l.table("statement"), l.journalled(entry))
}

// beginRunSQL records that a run begins. It has the lock, so whatever run is not recorded as finished could not say how it ended: it
// is lost. Should it still live, behind a pooler, its end is recorded over that.
func (l ledger) beginRunSQL(id, digest string, cfg Config) string {
	return fmt.Sprintf("UPDATE %[1]s SET outcome = 'lost', finished = pg_catalog.clock_timestamp() WHERE %[2]s AND finished IS NULL AND id <> %[3]s;"+
		"INSERT INTO %[1]s (id, tenant, digest, job, pod, tool) VALUES (%[3]s, %[4]s, %[5]s, %[6]s, %[7]s, %[8]s) ON CONFLICT (id) DO NOTHING", l.table("run"), l.mine(""),
		literal(id), literal(l.tenant), literal(digest), literal(cfg.Job), literal(cfg.Pod), literal(cfg.ToolVersion))
}

// durable makes the commit of the message's transaction wait for the disk where it would not, and leaves alone how much more it waits for.
const durable = "SELECT pg_catalog.set_config('synchronous_commit', 'on', true) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"

// endRunSQL records how a run ended, and how long its migrations took, by their IDs. Its commit is synchronous, whatever the server,
// the database or the role has as a default: once it is acknowledged, so is everything before it.
func (l ledger) endRunSQL(id string, outcome migrations.Outcome, failure []byte, took map[string]time.Duration) string {
	problem := "NULL"
	if failure != nil {
		problem = literal(string(failure))
	}
	sql := durable + fmt.Sprintf(";UPDATE %s SET finished = pg_catalog.clock_timestamp(), outcome = %s, error = %s WHERE id = %s",
		l.table("run"), literal(string(outcome)), problem, literal(id))
	if len(took) == 0 {
		return sql
	}
	rows := make([]string, 0, len(took))
	for migration, d := range took {
		rows = append(rows, fmt.Sprintf("(%s, %d)", literal(migration), d.Microseconds()))
	}
	for _, t := range [][2]string{{"migration", "m.version"}, {"repeatable", "'R__' || m.name"}} {
		sql += fmt.Sprintf(";UPDATE %s m SET duration = t.us * interval '1 microsecond' FROM (VALUES %s) t(id, us) WHERE m.%s AND t.id = %s",
			l.table(t[0]), strings.Join(rows, ","), l.mine(" AND m.run = %s", literal(id)), t[1])
	}
	return sql
}
