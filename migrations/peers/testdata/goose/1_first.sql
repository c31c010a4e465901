
-- +goose up
-- a comment; with a semicolon
CREATE TABLE quirk_a (id int, note text DEFAULT 'x');

-- +goose down
DROP TABLE quirk_a;
