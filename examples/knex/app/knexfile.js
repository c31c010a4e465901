// node-postgres finds the database by libpq's variables, PGHOST and the like.
module.exports = { client: "pg", connection: {} };
