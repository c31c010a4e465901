CREATE TABLE quirk_a (id int, note text DEFAULT 'x')

---- create above / drop below ----

DROP TABLE quirk_a
