package postgres

import (
	"fmt"
	"strings"
)

// ledgerTables are the ledger's tables, with what is told of them.
var ledgerTables = [][2]string{
	{"run", "one row for each run of Schemawave that had something to do; one that was lost could not say how it ended, and was finished at the latest when the next one began"},
	{"migration", "the migrations applied to this database, each referring to the one before; the row with an empty version names the database"},
	{"repeatable", "the repeatable migrations as they were run last"},
	{"statement", "how far a migration that cannot run in a transaction has come; empty when none is half applied"},
	{"lease", "who migrates through a connection pooler, and until when that holds without being renewed; -infinity: nobody; elsewhere an advisory lock does this, and both are respected"},
}

// createSQL makes the tables, unless they are there, and the root row of the tenant. Whoever else does the same at the same
// time waits for the end of this transaction, however long that takes on a busy machine. What is there is left out, for even with
// IF NOT EXISTS it asks for the right to create a schema or a table, which the role of a tenant that comes later need not have;
// to_regclass would remember how it was before the wait, and so would a snapshot of the whole transaction.
func (l ledger) createSQL(database string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "BEGIN ISOLATION LEVEL READ COMMITTED;SET LOCAL lock_timeout TO 0;SELECT pg_catalog.pg_advisory_xact_lock(%d);SET LOCAL client_min_messages TO warning;\n",
		lockKey("schemawave ledger tables", l.schema))
	names := make([]string, len(ledgerTables))
	for i, t := range ledgerTables {
		names[i] = literal(t[0])
	}
	b.WriteString(block(fmt.Sprintf(`BEGIN
IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %[1]s) THEN CREATE SCHEMA %[2]s; END IF;
IF %[3]d > (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %[1]s AND c.relname IN (%[4]s)) THEN
%[5]sEND IF; END`, literal(l.schema), identifier(l.schema), len(names), strings.Join(names, ", "), l.tablesSQL())))
	fmt.Fprintf(&b, ";INSERT INTO %s (tenant, version, name, checksum) VALUES (%s, '', %s, %s) ON CONFLICT DO NOTHING;",
		l.table("migration"), literal(l.tenant), literal(database), literal(ledgerFormat))
	fmt.Fprintf(&b, "INSERT INTO %s (tenant, token, holder, acquired, expires) VALUES (%s, 0, '', '-infinity', '-infinity') ON CONFLICT DO NOTHING;COMMIT",
		l.table("lease"), literal(l.tenant))
	return b.String()
}

// tablesSQL makes the tables.
func (l ledger) tablesSQL() string {
	var b strings.Builder
	fmt.Fprintf(&b, `CREATE TABLE IF NOT EXISTS %s (
	id uuid PRIMARY KEY, tenant text COLLATE "C" NOT NULL DEFAULT '', digest text NOT NULL, job text NOT NULL, pod text NOT NULL, tool text NOT NULL,
	started timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), finished timestamptz, outcome text, error jsonb);
`, l.table("run"))
	fmt.Fprintf(&b, `CREATE TABLE IF NOT EXISTS %[1]s (
	tenant text COLLATE "C" NOT NULL DEFAULT '', version text COLLATE "C", previous text COLLATE "C",
	name text NOT NULL, checksum text NOT NULL, digest text NOT NULL DEFAULT '', min_compatible text NOT NULL DEFAULT '', down text, run uuid,
	applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), duration interval,
	PRIMARY KEY (tenant, version), UNIQUE (tenant, previous), FOREIGN KEY (tenant, previous) REFERENCES %[1]s (tenant, version),
	CHECK ((version = '') = (previous IS NULL)));
`, l.table("migration"))
	fmt.Fprintf(&b, `CREATE TABLE IF NOT EXISTS %s (
	tenant text COLLATE "C" NOT NULL DEFAULT '', name text COLLATE "C", checksum text NOT NULL, after text COLLATE "C" NOT NULL, run uuid,
	applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), duration interval, PRIMARY KEY (tenant, name));
`, l.table("repeatable"))
	fmt.Fprintf(&b, `CREATE TABLE IF NOT EXISTS %s (
	tenant text COLLATE "C" NOT NULL DEFAULT '', migration text COLLATE "C", ordinal int, prefix text NOT NULL, existed boolean NOT NULL, run uuid,
	started timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(), finished timestamptz, failed boolean NOT NULL DEFAULT false,
	PRIMARY KEY (tenant, migration, ordinal));
`, l.table("statement"))
	fmt.Fprintf(&b, `CREATE TABLE IF NOT EXISTS %s (
	tenant text COLLATE "C" PRIMARY KEY DEFAULT '', token bigint NOT NULL, holder text NOT NULL, acquired timestamptz NOT NULL, expires timestamptz NOT NULL);
`, l.table("lease"))
	for _, t := range ledgerTables {
		fmt.Fprintf(&b, "COMMENT ON TABLE %s IS %s;\n", l.table(t[0]), literal(t[1]))
	}
	return b.String()
}
