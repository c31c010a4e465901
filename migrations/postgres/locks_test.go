package postgres_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// before is what the statements below work on.
const before = `CREATE TABLE people (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES people, total int, CONSTRAINT positive CHECK (total > 0) NOT VALID);
CREATE INDEX orders_total ON orders (total);
CREATE TABLE events (day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE events_2 (day date NOT NULL);
CREATE VIEW totals AS SELECT total FROM orders;
CREATE MATERIALIZED VIEW sums AS SELECT id, total FROM orders;
CREATE UNIQUE INDEX sums_id ON sums (id);
CREATE TYPE mood AS ENUM ('fine');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE "Odd.Name" (id int);
CREATE TABLE days (day date NOT NULL, person int REFERENCES people) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE days_rest PARTITION OF days DEFAULT;
CREATE TABLE days_3 (day date NOT NULL, person int);
CREATE SEQUENCE tickets;
CREATE FOREIGN DATA WRAPPER far;
CREATE SERVER far FOREIGN DATA WRAPPER far`

// What the text of a statement says is what the server does. Statements with a * cannot run in a transaction.
var locking = []string{
	"ALTER TABLE orders ADD COLUMN note text",
	`ALTER TABLE ONLY public."orders" ALTER COLUMN person SET NOT NULL, ALTER total SET DEFAULT 1`,
	"ALTER TABLE IF EXISTS orders RENAME COLUMN total TO sum",
	"ALTER TABLE orders ALTER COLUMN total SET STATISTICS 100",
	"ALTER TABLE orders ALTER COLUMN total SET STATISTICS 100, ADD COLUMN note text",
	"ALTER TABLE orders SET (fillfactor = 70)",
	"ALTER TABLE orders SET (fillfactor = 70, user_catalog_table = true)",
	"ALTER TABLE orders RESET (User_Catalog_Table)",
	"ALTER TABLE people DROP COLUMN name",
	"ALTER TABLE orders DROP person",
	"ALTER TABLE orders ALTER COLUMN person TYPE bigint",
	"ALTER TABLE people ALTER id SET DATA TYPE bigint",
	"ALTER TABLE orders CLUSTER ON orders_total",
	"ALTER TABLE orders DISABLE TRIGGER touched",
	"ALTER TABLE orders ADD CONSTRAINT total_person FOREIGN KEY (total) REFERENCES people (id) NOT VALID",
	"ALTER TABLE orders ADD FOREIGN KEY (total) REFERENCES people",
	"ALTER TABLE orders ADD COLUMN friend int REFERENCES people (id)",
	"ALTER TABLE orders VALIDATE CONSTRAINT positive",
	"ALTER TABLE orders DROP CONSTRAINT positive",
	"ALTER TABLE orders DROP CONSTRAINT orders_person_fkey",
	"ALTER TABLE orders ADD CONSTRAINT small CHECK (total IN (1, 2)) NOT VALID, VALIDATE CONSTRAINT positive",
	"ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')",
	"ALTER TABLE events DETACH PARTITION events_1",
	"*ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY",
	"ALTER TABLE days DETACH PARTITION days_1",
	"ALTER TABLE days ATTACH PARTITION days_3 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')",
	"ALTER SEQUENCE tickets INCREMENT BY 50",
	"ALTER SEQUENCE IF EXISTS tickets RESTART",
	"ALTER SEQUENCE public.tickets AS int",
	"ALTER SEQUENCE tickets OWNED BY orders.id",
	"ALTER SEQUENCE tickets OWNER TO CURRENT_USER",
	"ALTER SEQUENCE tickets RENAME TO numbers",
	`ALTER TABLE "Odd.Name" ADD COLUMN x int`,
	"ALTER TYPE mood ADD VALUE 'better'",
	"ALTER VIEW totals RENAME TO sums_of",
	"CREATE TABLE lines (id int, order_id int REFERENCES orders (id), p int REFERENCES public.people)",
	"CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM ('2025-02-01') TO ('2025-03-01')",
	"CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2025-02-01') TO ('2025-03-01')",
	"CREATE FOREIGN TABLE events_4 PARTITION OF events FOR VALUES FROM ('2025-02-01') TO ('2025-03-01') SERVER far",
	"CREATE FOREIGN TABLE away (id int) SERVER far",
	"CREATE TABLE special (extra int) INHERITS (people)",
	"CREATE TABLE copied AS SELECT * FROM orders",
	"CREATE INDEX ON orders (person)",
	"CREATE UNIQUE INDEX IF NOT EXISTS u ON public.orders USING btree (id)",
	"*CREATE INDEX CONCURRENTLY i ON orders (person)",
	"CREATE TRIGGER t BEFORE UPDATE OF total ON orders FOR EACH ROW EXECUTE FUNCTION touch()",
	"CREATE POLICY p ON orders USING (true)",
	"CREATE RULE r AS ON DELETE TO orders DO ALSO NOTHING",
	"CREATE STATISTICS s ON total, person FROM orders",
	"CREATE VIEW more AS SELECT 1 AS one",
	"CREATE OR REPLACE VIEW totals AS SELECT total FROM orders WHERE true",
	"CREATE SEQUENCE numbers",
	"CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
	"CREATE SCHEMA other",
	"COMMENT ON TABLE orders IS 'x'",
	"COMMENT ON COLUMN public.orders.total IS 'x'",
	"DROP TABLE orders CASCADE",
	`DROP TABLE IF EXISTS "Odd.Name", events_2`,
	"DROP TABLE days_1",
	"DROP INDEX orders_total",
	"*DROP INDEX CONCURRENTLY orders_total",
	"DROP VIEW totals",
	"DROP TRIGGER touched ON orders",
	"DROP TYPE mood",
	"INSERT INTO people (id) VALUES (1)",
	"INSERT INTO people (id) SELECT total FROM orders",
	"UPDATE ONLY orders SET total = 1",
	"DELETE FROM orders AS o WHERE id = 1",
	"TRUNCATE orders, events_2",
	"TRUNCATE TABLE people CASCADE",
	"LOCK TABLE orders IN SHARE MODE",
	"LOCK orders",
	"LOCK orders IN ACCESS SHARE MODE",
	"LOCK TABLE orders IN ROW SHARE MODE",
	"GRANT SELECT ON orders TO PUBLIC",
	"REFRESH MATERIALIZED VIEW sums",
	"REFRESH MATERIALIZED VIEW CONCURRENTLY sums",
	"REINDEX TABLE orders",
	"REINDEX INDEX orders_total",
	"*REINDEX TABLE CONCURRENTLY orders",
	"*REINDEX INDEX CONCURRENTLY orders_total",
	"CLUSTER orders USING orders_total",
	"CLUSTER orders_total ON orders",
	"ANALYZE orders (total), people",
	"*VACUUM (FULL, ANALYZE) orders",
	"*VACUUM FULL orders",
	"*VACUUM orders",
	"SET LOCAL work_mem TO '5MB'",
	"SELECT total FROM orders",
	"DO $$BEGIN DELETE FROM orders; END$$",
	"WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone",
}

func TestLocksAreTheServers(t *testing.T) {
	url := freshURL(t)
	query(t, url, before)
	oids := map[string]string{} // tables and the like that are there before
	ofIndex := map[string]string{}
	for _, row := range query(t, url, "SELECT oid, relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND relnamespace = 'public'::regnamespace") {
		oid, name, _ := strings.Cut(row, "|")
		oids[oid] = name
	}
	for _, row := range query(t, url, "SELECT indexrelid::regclass, c.relname, indexrelid::oid FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = 'public'::regnamespace") {
		column := strings.Split(row, "|")
		ofIndex[column[0]] = column[1]
		oids[column[2]] = column[1] // every query of the table looks at its indexes
	}
	for _, sql := range locking {
		t.Run(sql, func(t *testing.T) {
			alone := strings.HasPrefix(sql, "*")
			statements, err := migrations.Script{SQL: strings.TrimPrefix(sql, "*")}.Split()
			if err != nil || len(statements) != 1 {
				t.Fatal(statements, err)
			}
			said := statements[0].Locks()
			says := map[string]string{}
			for _, l := range said.Tables {
				name := strings.TrimPrefix(l.Table, "public.")
				if l.Index != "" {
					name = ofIndex[l.Index]
				}
				says[migrations.Fold(name)] = string(l.Mode)
			}
			var done map[string]string
			if alone {
				done = waitingLocks(t, url, statements[0].SQL, oids)
			} else {
				done = transactionLocks(t, url, statements[0].SQL, oids)
			}
			if said.Unseen != "" {
				maps.DeleteFunc(done, func(table, _ string) bool { return says[table] == "" })
			}
			if alone { // of several tables it gets to lock only the first
				maps.DeleteFunc(says, func(table, _ string) bool { return done[table] == "" })
			}
			if !maps.Equal(says, done) || alone && len(done) == 0 {
				t.Errorf("says %v (and %q), the server does %v", says, said.Unseen, done)
			}
		})
	}
}

// seenLocks are those of a server process that hinder others, strongest per table.
func seenLocks(t *testing.T, url string, pid uint32, oids map[string]string) map[string]string {
	t.Helper()
	order := []string{"ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}
	seen := map[string]string{}
	for _, row := range query(t, url, fmt.Sprintf("SELECT relation, upper(trim(regexp_replace(replace(mode, 'Lock', ''), '([A-Z])', ' \\1', 'g'))) "+
		"FROM pg_locks WHERE locktype = 'relation' AND pid = %d AND mode NOT IN ('AccessShareLock', 'RowShareLock')", pid)) {
		oid, mode, _ := strings.Cut(row, "|")
		if name := oids[oid]; name != "" && slices.Index(order, mode) > slices.Index(order, seen[name]) {
			seen[name] = mode
		}
	}
	return seen
}

func transactionLocks(t *testing.T, url, sql string, oids map[string]string) map[string]string {
	t.Helper()
	conn := session(t, url)
	if _, err := conn.Exec(t.Context(), "BEGIN;"+sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return seenLocks(t, url, conn.PID(), oids)
}

// waitingLocks looks at a statement that waits because another session has locked everything in a mode that each of them
// conflicts with.
func waitingLocks(t *testing.T, url, sql string, oids map[string]string) map[string]string {
	t.Helper()
	holder, conn := session(t, url), session(t, url)
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE orders, events IN SHARE UPDATE EXCLUSIVE MODE").ReadAll(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn.Exec(t.Context(), sql).ReadAll() //nolint:errcheck // it is cancelled
	}()
	defer func() {
		if err := conn.CancelRequest(t.Context()); err != nil {
			t.Error(err)
		}
		<-ended
	}()
	for {
		if len(query(t, url, fmt.Sprintf("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %d", conn.PID()))) > 0 {
			return seenLocks(t, url, conn.PID(), oids)
		}
		select {
		case <-ended:
			t.Fatal("it did not wait")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func session(t *testing.T, url string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}
