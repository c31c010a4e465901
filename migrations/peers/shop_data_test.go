package peers_test

import "github.com/schemawave/schemawave/migrations/peers"

// shopData fills the tables with strings that are easily mistaken.
func shopData() []peers.Source {
	return []peers.Source{
		{Name: "seed", Up: []string{
			`INSERT INTO customers (email, first_name, last_name, home, tags) VALUES
  ('Ann@example.org', 'Ann', 'O''Brien', ROW('1; DROP TABLE x; --', '1000', 'IE'), '{"a;b","c\"d",NULL}'),
  ('bob@example.org', E'B\'o\\b\n', '-- not a comment', NULL, ARRAY['/*', '*/', '$$', '$tag$']),
  ('carl@example.org', U&'\0043arl \+01F600', 'Größe 🦀 名', NULL, '{}'),
  ('dora@example.org', 'back\slash', 'first
second
  -- third
fourth', NULL, '{x}')`,
			`INSERT INTO products (sku, title, price) VALUES ('A-1', $$Title with 'quotes' and ; semicolons$$, 9.99)`,
			`INSERT INTO products (sku, title, price) VALUES ('A-2', $x$nested $$ dollars $$; and $y$ more $y$ $x$, 19.99)`,
			`INSERT INTO products (sku, title, price) VALUES ('A-3', 'joined '
  'over lines', 29.99), ('A-4', B'1010'::text || X'FF'::text || N'national', 3)`,
			`UPDATE products SET title = title || ' %s %d $1 :name ? @x' WHERE sku = 'A-1'`,
		}, Down: []string{`TRUNCATE customers, products CASCADE`}},
		{Name: "orders", Up: []string{
			`SET CONSTRAINTS ALL DEFERRED`, // the lines come before their orders
			`INSERT INTO order_lines SELECT n, date '2023-06-01' + n * 40, 1, 'A-' || 1 + n % 4, n * 100 FROM generate_series(1, 20) n`,
			`INSERT INTO orders (id, customer, status, placed)
SELECT n, (SELECT min(id) FROM customers) + 10 * (n % 4), (enum_range(NULL::order_status))[1 + n % 3], date '2023-06-01' + n * 40
FROM generate_series(1, 20) n`,
			`REFRESH MATERIALIZED VIEW totals`,
		}, Down: []string{`DELETE FROM orders`}},
		{Name: "json", Up: []string{
			`UPDATE customers SET settings = settings || '{"q": "\"?\" :x ::text", "re": "^\\d+;$"}' WHERE settings ? 'a' OR settings ?| ARRAY['b'] OR settings ?& '{c}'`,
			`UPDATE customers SET settings = jsonb_set(settings, '{a,b,0}', '"\u00e9"') WHERE email = 'ANN@EXAMPLE.ORG'`,
			`UPDATE customers SET tags = tags[1:2] || regexp_replace('a.b', '\.', '\\', 'g')`,
		}},
		{Name: "loop", Up: []string{`DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT sku FROM products ORDER BY sku LOOP
        UPDATE products SET price = price + 1 WHERE sku = r.sku; -- one by one
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop_reader') THEN
        RAISE NOTICE 'the role is there; its grants follow';
    ELSE
        EXECUTE format('CREATE ROLE %I', 'shop_reader');
    END IF;
END $$`}},
		{Name: "grants", Up: []string{
			`GRANT SELECT ON customers, products TO shop_reader`,
			`GRANT UPDATE (title), INSERT (sku, title) ON products TO shop_reader WITH GRANT OPTION`,
			`REVOKE ALL ON FUNCTION touch() FROM PUBLIC`,
			`ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO shop_reader`,
			`CREATE TABLE app.defaults (x int)`,
		}, Down: []string{`DROP OWNED BY shop_reader`, `DROP TABLE app.defaults`}},
		{Name: "policies", Up: []string{
			`ALTER TABLE customers ENABLE ROW LEVEL SECURITY`,
			`ALTER TABLE bookings FORCE ROW LEVEL SECURITY`,
			`CREATE POLICY own ON customers AS RESTRICTIVE FOR SELECT TO shop_reader
  USING (email = current_setting('app.user', true)::citext)`,
			`CREATE POLICY edit ON customers FOR UPDATE USING (true) WITH CHECK (first_name <> ';')`,
		}, Down: []string{`DROP POLICY edit ON customers`, `DROP POLICY own ON customers`,
			`ALTER TABLE bookings NO FORCE ROW LEVEL SECURITY`, `ALTER TABLE customers DISABLE ROW LEVEL SECURITY`}},
		{Name: "temporary", Up: []string{
			`CREATE TEMPORARY TABLE moved ON COMMIT DROP AS SELECT id, customer FROM orders WHERE status = 'paid'`,
			`WITH gone AS (DELETE FROM order_lines l USING moved m WHERE l.order_id = m.id RETURNING l.*),
     counted AS (SELECT count(*) AS n, sum(amount::bigint) AS sum FROM gone)
INSERT INTO audit (tab, what, row_data) SELECT 'order_lines', 'MOVED', to_jsonb(counted) FROM counted`,
			`INSERT INTO products (sku, title, price) VALUES ('A-1', 'again', 1) ON CONFLICT (sku) DO UPDATE SET price = excluded.price + products.price`,
			`MERGE INTO products p USING (VALUES ('A-2', 5), ('Z-1', 6)) v (sku, price) ON p.sku = v.sku
WHEN MATCHED THEN UPDATE SET price = v.price
WHEN NOT MATCHED THEN INSERT (sku, title, price) VALUES (v.sku, 'merged', v.price)`,
		}},
		{Name: "search_path", Up: []string{
			`SET search_path TO app, public`,
			`CREATE TABLE in_app (id int PRIMARY KEY REFERENCES legacy)`,
			`CREATE FUNCTION where_am_i() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN current_schema(); END;'`,
			`INSERT INTO legacy VALUES (1, where_am_i())`,
			`RESET search_path`,
		}, Down: []string{`DROP FUNCTION app.where_am_i()`, `DROP TABLE app.in_app`}},
		{Name: "local_settings", Up: []string{
			`SET LOCAL check_function_bodies = off`,
			`SET LOCAL lock_timeout = '5s'`,
			`CREATE FUNCTION not_yet() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM coming'`,
			`CREATE TABLE coming AS SELECT n, md5(n::text) AS hash FROM generate_series(1, 5) n`,
		}, Down: []string{`DROP TABLE coming`, `DROP FUNCTION not_yet()`}},
	}
}
