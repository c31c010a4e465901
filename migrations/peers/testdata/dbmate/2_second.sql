-- the author's own words
-- migrate:up transaction:true
ALTER TABLE quirk_a RENAME TO quirk_b;
-- migrate:down transaction:false
-- there is no way back
