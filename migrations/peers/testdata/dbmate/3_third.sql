-- migrate:up
INSERT INTO quirk_b VALUES (1, 'two
lines');
