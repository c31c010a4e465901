-- +migrate Up
INSERT INTO quirk_b VALUES (3);
-- +migrate Down
DELETE FROM quirk_b WHERE id > 2;
