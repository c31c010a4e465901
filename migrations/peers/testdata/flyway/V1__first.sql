CREATE TABLE quirk_a (id int, note text DEFAULT 'x');
