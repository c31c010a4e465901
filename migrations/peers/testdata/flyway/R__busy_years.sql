CREATE OR REPLACE VIEW busy_years AS SELECT extract(year FROM placed) AS year, sum(n) AS n FROM busy_days GROUP BY 1;
INSERT INTO quirk_b VALUES (3, 'the repeatable one ran last');
