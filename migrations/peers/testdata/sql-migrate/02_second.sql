-- +migrate Up
-- +migrate StatementBegin
ALTER TABLE quirk_a RENAME TO quirk_b;
INSERT INTO quirk_b VALUES (1);
-- +migrate StatementEnd
INSERT INTO quirk_b VALUES (2, 'a
b'); -- here; too
