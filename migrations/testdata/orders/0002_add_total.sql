-- schemawave: min-compatible 1
ALTER TABLE orders ADD total numeric NOT NULL DEFAULT 0;
