-- the author's own words
-- +migrate Up
CREATE TABLE quirk_a (id int, note text DEFAULT 'x');

-- +migrate Down
DROP TABLE quirk_a;
