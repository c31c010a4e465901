INSERT INTO quirk_b VALUES (1, 'two
lines');
---- create above / drop below ----
DELETE FROM quirk_b;
