-- +goose Up
INSERT INTO quirk_b VALUES (3);
-- +goose ENVSUB OFF
INSERT INTO quirk_b VALUES (4, '${HOME}');

-- +goose Down
DELETE FROM quirk_b WHERE id > 2;
