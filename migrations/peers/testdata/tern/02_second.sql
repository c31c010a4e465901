ALTER TABLE quirk_a RENAME TO quirk_b;
-- nothing is said of the way back
