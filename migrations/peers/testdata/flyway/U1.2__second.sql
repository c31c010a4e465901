ALTER TABLE quirk_b RENAME TO quirk_a;
