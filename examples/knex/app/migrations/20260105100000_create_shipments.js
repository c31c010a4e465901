exports.up = (knex) =>
  knex.schema.createTable("shipments", (table) => {
    table.bigIncrements("id");
    table.text("address").notNullable();
  });

exports.down = (knex) => knex.schema.dropTable("shipments");
