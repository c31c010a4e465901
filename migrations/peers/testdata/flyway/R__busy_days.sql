CREATE OR REPLACE VIEW busy_days AS SELECT placed, count(*) AS n FROM orders GROUP BY placed;
