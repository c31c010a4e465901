package peers_test

import "github.com/schemawave/schemawave/migrations/peers"

// shopChanges alters what is there, outside a transaction too.
func shopChanges() []peers.Source {
	return []peers.Source{
		{Name: "index_concurrently", NoTransaction: true, Up: []string{
			`CREATE INDEX CONCURRENTLY IF NOT EXISTS customers_settings ON customers USING gin (settings jsonb_path_ops)`,
		}, Down: []string{`DROP INDEX CONCURRENTLY customers_settings`}},
		{Name: "unique_concurrently", NoTransaction: true, Up: []string{
			`CREATE UNIQUE INDEX CONCURRENTLY "lines;key" ON public.order_lines (order_id, line, (sku || ';'))`,
		}, Down: []string{`DROP INDEX CONCURRENTLY "lines;key"`}},
		{Name: "drop_concurrently", NoTransaction: true, Up: []string{`DROP INDEX CONCURRENTLY products_title_key`}},
		{Name: "reindex_concurrently", NoTransaction: true, Up: []string{`REINDEX TABLE CONCURRENTLY customers`}},
		{Name: "vacuum", NoTransaction: true, Up: []string{`VACUUM (ANALYZE) products`}},
		{Name: "attach_index", Up: []string{
			`CREATE UNIQUE INDEX bookings_room ON bookings (room)`,
			`ALTER TABLE bookings ADD CONSTRAINT bookings_room_key UNIQUE USING INDEX bookings_room`,
		}, Down: []string{`ALTER TABLE bookings DROP CONSTRAINT bookings_room_key`}},
		{Name: "retype", Up: []string{
			`ALTER TABLE invoices ALTER COLUMN issued TYPE timestamptz USING issued::timestamp AT TIME ZONE 'UTC'`,
			`ALTER TABLE invoices RENAME COLUMN issued TO issued_at`,
			`ALTER TABLE counters RENAME TO tallies`,
			`ALTER TABLE audit ALTER COLUMN row_data SET STORAGE EXTERNAL, ALTER what SET NOT NULL, ADD CHECK (what <> '') NO INHERIT`,
			`ALTER TABLE products ADD COLUMN weight real NOT NULL DEFAULT 0.5`,
			`ALTER TABLE products ALTER COLUMN weight DROP DEFAULT`,
			`ALTER TABLE customers DROP COLUMN tags`,
			`ALTER TYPE address ADD ATTRIBUTE floor int`,
			`ALTER DOMAIN cents DROP NOT NULL`,
		}, Down: []string{`ALTER TABLE tallies RENAME TO counters`}},
		{Name: "partitions", Up: []string{
			`CREATE TABLE orders_2021 PARTITION OF orders FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')`,
			`ALTER TABLE orders DETACH PARTITION orders_2021`,
			`CREATE TABLE orders_2022 (LIKE orders INCLUDING ALL)`,
			`ALTER TABLE orders_2022 ADD CONSTRAINT bounds CHECK (placed >= '2022-01-01' AND placed < '2023-01-01')`,
			`ALTER TABLE orders ATTACH PARTITION orders_2022 FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')`,
			`ALTER TABLE orders_2022 DROP CONSTRAINT bounds`,
		}},
		{Name: "comments", Up: []string{
			`COMMENT ON TABLE orders IS 'it''s; "quoted" -- /* */ $$ \ 日本'`,
			`COMMENT ON COLUMN customers.email IS E'tab\there\nand a line;'`,
			`COMMENT ON FUNCTION double(int) IS $$doubles; 'really'$$`,
			`COMMENT ON CONSTRAINT no_semicolons ON customers IS ';'`,
			`COMMENT ON TYPE order_status IS NULL`,
		}, Down: []string{`COMMENT ON TABLE orders IS NULL`}},
		{Name: "storage", Up: []string{
			`CREATE STATISTICS orders_stats (dependencies, ndistinct) ON customer, status FROM orders`,
			`ALTER TABLE products SET (fillfactor = 70, autovacuum_enabled = false), REPLICA IDENTITY FULL`,
			`ALTER TABLE order_lines CLUSTER ON order_lines_pkey`,
			`ALTER TABLE customers ALTER COLUMN email SET STATISTICS 500`,
			`CREATE UNLOGGED TABLE cache (k text PRIMARY KEY, v bytea DEFAULT '\xDEADBEEF')`,
			`CREATE TABLE old_invoices (CHECK (no < 5000)) INHERITS (invoices)`,
			`CREATE PUBLICATION shop FOR TABLE customers, products`,
		}, Down: []string{`DROP PUBLICATION shop`, `DROP TABLE old_invoices`, `DROP TABLE cache`, `DROP STATISTICS orders_stats`}},
		{Name: "deferred_trigger", Up: []string{
			`CREATE FUNCTION check_lines() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NOT EXISTS (SELECT FROM orders WHERE id = NEW.order_id) THEN RAISE EXCEPTION 'no order %;', NEW.order_id; END IF;
  RETURN NULL; END $$`,
			`CREATE CONSTRAINT TRIGGER lines_have_orders AFTER INSERT ON order_lines DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION check_lines()`,
			`INSERT INTO order_lines VALUES (21, '2022-03-01', 1, 'Z-1', 7)`,
			`INSERT INTO orders VALUES (21, (SELECT max(id) FROM customers), 'shipped', '2022-03-01')`,
			`ALTER TABLE products DISABLE TRIGGER products_audit`,
		}, Down: []string{`ALTER TABLE products ENABLE TRIGGER products_audit`, `DROP TRIGGER lines_have_orders ON order_lines`, `DROP FUNCTION check_lines()`}},
		{Name: "foreign", Up: []string{
			`CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (note 'a;b')`,
			`CREATE SERVER elsewhere TYPE 'none' VERSION '1' FOREIGN DATA WRAPPER nowhere`,
			`CREATE FOREIGN TABLE far (id int, "x;y" text OPTIONS (n '1')) SERVER elsewhere OPTIONS (path '/;')`,
		}, Down: []string{`DROP FOREIGN DATA WRAPPER nowhere CASCADE`}},
		{Name: "end_of_log", Up: []string{
			`DROP EVENT TRIGGER log_drop`,
			`DROP EVENT TRIGGER log_ddl`,
			`/* ; */ DROP VIEW countdown /* the last; statement */`,
		}},
	}
}
