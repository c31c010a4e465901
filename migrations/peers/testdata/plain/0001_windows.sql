-- saved on Windows
CREATE TABLE quirk_a (
  id int, -- the key;
  note text DEFAULT 'two
lines'
);
INSERT INTO quirk_a VALUES (1);
