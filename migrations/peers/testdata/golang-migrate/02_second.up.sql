ALTER TABLE quirk_a RENAME TO quirk_b;
INSERT INTO quirk_b VALUES (1); -- the order is that of numbers
