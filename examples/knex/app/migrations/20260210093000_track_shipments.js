exports.up = (knex) => knex.schema.alterTable("shipments", (table) => table.timestamp("sent_at"));

exports.down = (knex) => knex.schema.alterTable("shipments", (table) => table.dropColumn("sent_at"));
