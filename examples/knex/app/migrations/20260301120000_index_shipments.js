exports.up = (knex) => knex.raw("CREATE INDEX CONCURRENTLY shipments_sent_at ON shipments (sent_at)");

exports.down = (knex) => knex.raw("DROP INDEX CONCURRENTLY shipments_sent_at");

// No index is built concurrently inside a transaction.
exports.config = { transaction: false };
