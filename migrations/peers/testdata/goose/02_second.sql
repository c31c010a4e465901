--   +goose Up
--+goose StatementBegin
ALTER TABLE quirk_a RENAME TO quirk_b;
INSERT INTO quirk_b VALUES (1);
-- +goose StatementEnd
INSERT INTO quirk_b VALUES (2, 'a
b'); -- here; too
