package runner

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// DatabaseConns reads the connection settings of logical databases, in their order: DATABASE_URL_ORDERS is that of orders, and of
// orders-archive DATABASE_URL_ORDERS_ARCHIVE. One alone may have DATABASE_URL or libpq's PG* variables instead. Errors name the variable, and
// never repeat its value.
func DatabaseConns(getenv func(string) string, databases ...string) ([]*pgconn.Config, error) {
	seen := map[string]string{}
	for _, database := range databases {
		variable := databaseVariable(database)
		if other, twice := seen[variable]; twice {
			return nil, &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("%s is for one database, and here are two: %s, %s", variable, other, database),
				Hint: "use two commands, each with its own environment"}
		}
		seen[variable] = database
	}
	conns := make([]*pgconn.Config, len(databases))
	for i, database := range databases {
		variable := databaseVariable(database)
		url := getenv(variable)
		if url == "" && len(databases) > 1 {
			return nil, &cli.Error{Code: migrations.ExitConfig, Err: fmt.Errorf("%s is not set", variable),
				Hint: fmt.Sprintf("set it to the URL of the database %s; of several databases each has a variable of its own", database)}
		}
		conn, err := postgres.ParseConfig(func(name string) string {
			if name == "DATABASE_URL" && url != "" {
				return url
			}
			return getenv(name)
		})
		if err != nil && url != "" {
			err = fmt.Errorf("%s: %w", variable, err)
		}
		if err != nil {
			return nil, err
		}
		conns[i] = conn
	}
	return conns, nil
}

// databaseVariable is the environment variable of one database among several.
func databaseVariable(database string) string {
	return "DATABASE_URL_" + strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, database)
}
