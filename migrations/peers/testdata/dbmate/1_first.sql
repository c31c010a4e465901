--migrate:up
CREATE TABLE quirk_a (id int, note text DEFAULT 'x')
--migrate:down
DROP TABLE quirk_a
