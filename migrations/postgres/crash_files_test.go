package postgres_test

import "testing/fstest"

// crashFiles is a directory with every kind of statement that is treated in its own way. What may run only once says so in
// table executions, which has no key that would hide a second time. CALL and DO that commit are repeated after a crash, so
// they are written to bear it; those that do not commit are not.
func crashFiles() fstest.MapFS {
	dir := fstest.MapFS{}
	for name, sql := range map[string]string{
		"0001_executions.sql": "CREATE TABLE executions (what text NOT NULL);",
		"0002_orders.sql":     "CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, note text);\nCOMMENT ON TABLE orders IS 'what was ordered';",
		"0003_fill.sql":       "INSERT INTO orders SELECT i, i % 7, 'n' || i FROM generate_series(1, 50) i;\nINSERT INTO executions VALUES ('3');",
		"0004_status.sql":     "CREATE TYPE status AS ENUM ('new', 'paid');",
		"0005_status.sql":     "ALTER TABLE orders ADD status status NOT NULL DEFAULT 'new';\nINSERT INTO executions VALUES ('5');",
		"0006_customer.sql":   "CREATE INDEX CONCURRENTLY orders_customer ON orders (customer);",
		"0007_shipped.sql":    "ALTER TYPE status ADD VALUE 'shipped';",
		"0008_ship.sql":       "UPDATE orders SET status = 'shipped' WHERE id < 10;\nINSERT INTO executions VALUES ('8');",
		"0009_total.sql":      "ALTER TABLE orders ADD total numeric;\nCREATE FUNCTION doubled(n numeric) RETURNS numeric LANGUAGE sql AS 'SELECT n * 2';",
		"0010_filled.sql": `CREATE TABLE filled (v int PRIMARY KEY);
CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..3 LOOP INSERT INTO filled VALUES (i) ON CONFLICT DO NOTHING; COMMIT; END LOOP; END $$;
CREATE PROCEDURE once() LANGUAGE sql AS $$ INSERT INTO executions VALUES ('11c') $$;`,
		"0011_mixed.sql": `-- schemawave: no-transaction
SET work_mem TO '5MB';
INSERT INTO executions VALUES ('11a');
CREATE INDEX CONCURRENTLY orders_status ON orders (status);
CALL fill();
CALL once();
INSERT INTO executions SELECT '11b ' || current_setting('work_mem');
`,
		"0012_hiccup.sql": "CREATE SEQUENCE hiccup;",
		"0013_hiccup.sql": `INSERT INTO executions VALUES ('13');
DO $$ BEGIN IF nextval('hiccup') = 1 THEN RAISE EXCEPTION 'once' USING ERRCODE = '40001'; END IF; END $$;`,
		"0014_view.sql":    "CREATE VIEW shipped AS SELECT id FROM orders WHERE status = 'shipped';",
		"0015_events.sql":  "CREATE TABLE events (kind int) PARTITION BY LIST (kind);\nCREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);\nCREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2);\nCREATE INDEX events_kind ON events (kind);",
		"0016_detach.sql":  "ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY;",
		"0017_drop.sql":    "DROP INDEX CONCURRENTLY orders_customer;",
		"0018_again.sql":   "INSERT INTO executions VALUES ('18');",
		"0019_rebuild.sql": "REINDEX TABLE CONCURRENTLY orders;",
		"0020_note.sql":    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS orders_note ON orders (note);",
		"0021_vacuum.sql":  "VACUUM (ANALYZE) orders;",
		"0022_do.sql": `-- schemawave: no-transaction
DO $$ BEGIN INSERT INTO filled VALUES (100) ON CONFLICT DO NOTHING; COMMIT; END $$;
DO $$ BEGIN INSERT INTO executions VALUES ('22'); END $$;
`,
		"0023_returned.sql": "ALTER TYPE status ADD VALUE 'returned' AFTER 'paid';",
		"0024_return.sql":   "UPDATE orders SET status = 'returned' WHERE id = 10;\nINSERT INTO executions VALUES ('24');",
		"0025_check.sql":    "ALTER TABLE orders ADD CONSTRAINT positive CHECK (id > 0);\nINSERT INTO executions VALUES ('25');",
		"0026_parts.sql":    "REINDEX TABLE CONCURRENTLY events;",
		"0027_parts.sql":    "REINDEX INDEX events_kind;",
		"0028_unnamed.sql":  "CREATE INDEX CONCURRENTLY ON orders (lower(note)) WHERE id > 5;",
	} {
		dir[name] = &fstest.MapFile{Data: []byte(sql)}
	}
	return dir
}
