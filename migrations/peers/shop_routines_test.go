package peers_test

import "github.com/schemawave/schemawave/migrations/peers"

// shopRoutines has everything whose text holds semicolons of its own.
func shopRoutines() []peers.Source {
	return []peers.Source{
		{Name: "touch", Up: []string{
			`ALTER TABLE customers ADD updated_at timestamptz`,
			`CREATE OR REPLACE FUNCTION touch() RETURNS trigger AS $$
BEGIN
    -- a comment; with a semicolon, a 'quote' and a $dollar
    NEW.updated_at := '2024-02-02 00:00:00+00';
    RETURN NEW;
END;
$$ LANGUAGE plpgsql`,
			`CREATE TRIGGER customers_touch BEFORE UPDATE ON customers FOR EACH ROW
  WHEN (OLD.email IS DISTINCT FROM NEW.email OR NEW.first_name <> ';') EXECUTE FUNCTION touch()`,
		}, Down: []string{`DROP TRIGGER customers_touch ON customers`, `DROP FUNCTION touch()`,
			`ALTER TABLE customers DROP COLUMN updated_at`}},
		{Name: "audit", Up: []string{
			`CREATE TABLE audit (id bigserial PRIMARY KEY, tab name, what text, row_data jsonb)`,
			`CREATE FUNCTION audit_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $body$
DECLARE
    q text := $q$INSERT INTO audit (tab, what, row_data) VALUES ($1, $2, $3);$q$;
BEGIN
    IF TG_OP = 'DELETE' THEN
        EXECUTE q USING TG_TABLE_NAME, TG_OP, to_jsonb(OLD);
        RETURN OLD;
    END IF;
    EXECUTE q USING TG_TABLE_NAME, TG_OP, to_jsonb(NEW);
    RETURN NEW;
END $body$`,
			`CREATE TRIGGER products_audit AFTER INSERT OR UPDATE OF price OR DELETE ON products FOR EACH ROW EXECUTE PROCEDURE audit_row()`,
			`CREATE FUNCTION audited(t name) RETURNS SETOF audit LANGUAGE sql STABLE ROWS 10 AS 'SELECT * FROM audit WHERE tab = t; -- it''s all'`,
		}, Down: []string{`DROP FUNCTION audited(name)`, `DROP TRIGGER products_audit ON products`, `DROP FUNCTION audit_row()`, `DROP TABLE audit`}},
		{Name: "atomic", Up: []string{
			`CREATE FUNCTION label(s order_status) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE s WHEN 'new' THEN 'New; just in' WHEN 'paid' THEN CASE WHEN true THEN 'Paid' END ELSE 'Other' END;
END`,
			`CREATE PROCEDURE put(k text, v jsonb)
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO products (sku, title, price) VALUES (upper(k), v ->> 'title', 1);
    UPDATE products SET price = (v ->> 'price')::numeric WHERE sku = upper(k);
END`,
			`CREATE FUNCTION double(n int) RETURNS int IMMUTABLE STRICT PARALLEL SAFE RETURN n * 2`,
			`CALL put('atomic-1', '{"title": "made; by a procedure", "price": 12.5}')`,
		}, Down: []string{`DROP FUNCTION double(int)`, `DROP PROCEDURE put(text, jsonb)`, `DROP FUNCTION label(order_status)`}},
		{Name: "batches", Up: []string{`CREATE PROCEDURE archive(before date)
LANGUAGE plpgsql
AS $procedure$
BEGIN
    LOOP
        DELETE FROM orders WHERE placed < before;
        EXIT WHEN NOT FOUND;
        COMMIT; -- callers are outside a transaction

    END LOOP;

    RAISE NOTICE '100 %% done; %', before USING HINT = E'it\'s \\over\\; \u00e9';
END;
$procedure$`}, Down: []string{`DROP PROCEDURE archive(date)`}},
		{Name: "views", Up: []string{
			`CREATE VIEW big_spenders WITH (security_barrier) AS
SELECT c.id, c.full_name, sum(l.amount::bigint) AS spent
FROM customers c JOIN orders o ON o.customer = c.id JOIN order_lines l ON l.order_id = o.id
GROUP BY c.id HAVING sum(l.amount::bigint) > 100`,
			`CREATE VIEW cheap AS SELECT sku, title, price FROM products WHERE price < 10 WITH LOCAL CHECK OPTION`,
			`CREATE RECURSIVE VIEW countdown (n) AS VALUES (3) UNION ALL SELECT n - 1 FROM countdown WHERE n > 0`,
			`CREATE MATERIALIZED VIEW totals AS SELECT status, label(status), count(*) AS n FROM orders GROUP BY status WITH NO DATA`,
			`CREATE UNIQUE INDEX totals_status ON totals (status)`,
			`REFRESH MATERIALIZED VIEW totals`,
		}, Down: []string{`DROP MATERIALIZED VIEW totals`, `DROP VIEW countdown`, `DROP VIEW cheap`, `DROP VIEW big_spenders`}},
		{Name: "rules", Up: []string{
			`CREATE TABLE cheap_log (sku text, old_price numeric, new_price numeric)`,
			`CREATE RULE cheap_update AS ON UPDATE TO cheap WHERE new.price <> old.price
  DO ALSO (INSERT INTO cheap_log VALUES (old.sku, old.price, new.price); UPDATE audit SET what = what WHERE false)`,
			`CREATE RULE no_delete AS ON DELETE TO cheap DO INSTEAD NOTHING`,
		}, Down: []string{`DROP RULE no_delete ON cheap`, `DROP RULE cheap_update ON cheap`, `DROP TABLE cheap_log`}},
		{Name: "operators", Up: []string{
			`CREATE FUNCTION close_to(a numeric, b numeric) RETURNS boolean IMMUTABLE LANGUAGE sql AS $_$ SELECT abs(a - b) < 0.01 $_$`,
			`CREATE OPERATOR =~= (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = close_to, COMMUTATOR = =~=)`,
			`CREATE AGGREGATE product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1')`,
			`CREATE FUNCTION to_address(text) RETURNS address IMMUTABLE LANGUAGE sql AS $a1$ SELECT ROW($1, '', 'DE')::address; $a1$`,
			`CREATE CAST (text AS address) WITH FUNCTION to_address(text) AS ASSIGNMENT`,
			`CREATE TEXT SEARCH CONFIGURATION shop (COPY = english)`,
			`CREATE COLLATION german (provider = libc, locale = 'C')`,
		}, Down: []string{`DROP COLLATION german`, `DROP TEXT SEARCH CONFIGURATION shop`, `DROP CAST (text AS address)`,
			`DROP FUNCTION to_address(text)`, `DROP AGGREGATE product(numeric)`, `DROP OPERATOR =~= (numeric, numeric)`,
			`DROP FUNCTION close_to(numeric, numeric)`}},
		{Name: "ddl_log", Up: []string{ // sees every command of the migrations that follow
			`CREATE TABLE ddl_log (id bigserial PRIMARY KEY, tag text, object text)`,
			`CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.ddl_log (tag, object)
    SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands() WHERE schema_name = 'public';
END $$`,
			`CREATE EVENT TRIGGER log_ddl ON ddl_command_end EXECUTE FUNCTION log_ddl()`,
			`CREATE FUNCTION log_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.ddl_log (tag, object)
    SELECT TG_TAG, object_identity FROM pg_event_trigger_dropped_objects() WHERE original;
END $$`,
			`CREATE EVENT TRIGGER log_drop ON sql_drop EXECUTE FUNCTION log_drop()`,
		}, Down: []string{`DROP EVENT TRIGGER log_drop`, `DROP EVENT TRIGGER log_ddl`, `DROP FUNCTION log_drop()`, `DROP FUNCTION log_ddl()`, `DROP TABLE ddl_log`}},
	}
}
