package runner

import (
	"testing"

	"github.com/schemawave/schemawave/migrations/postgres"
)

// What a tool's URL says of encryption holds for the lock's connection, too.
func TestTLSInURLsWrittenForTools(t *testing.T) {
	for url, want := range map[string]string{
		"jdbc:postgresql://h/d?user=u&ssl=true":                 "postgres://h/d?user=u&sslmode=require",
		"postgres://h/d?ssl=1":                                  "postgres://h/d?sslmode=require",
		"jdbc:postgresql://h/d?ssl=true&sslmode=verify-full":    "postgres://h/d?sslmode=verify-full",
		"jdbc:postgresql://h/d?ssl=false":                       "postgres://h/d",
		"postgresql+asyncpg://h/d?ssl=verify-ca&pool_timeout=3": "postgres://h/d?sslmode=verify-ca",
	} {
		if got := forPostgres(url); got != want {
			t.Errorf("%s becomes %s, want %s", url, got, want)
		}
	}
}

func TestURLsWrittenForTools(t *testing.T) {
	for name, test := range map[string]struct{ url, searchPath string }{
		"PostgreSQL's own":           {"postgres://u:p%40ss@h:5433/d?sslmode=disable&search_path=app", "app"},
		"Prisma":                     {"postgresql://u:p%40ss@h:5433/d?schema=My+App&connection_limit=5&pgbouncer=true&sslmode=disable", `"My App"`},
		"SQLAlchemy":                 {"postgresql+psycopg2://u:p%40ss@h:5433/d", ""},
		"Rails":                      {"postgresql://u:p%40ss@h:5433/d?pool=5&timeout=5000&prepared_statements=false", ""},
		"Ecto":                       {"ecto://u:p%40ss@h:5433/d?pool_size=10", ""},
		"JDBC":                       {"jdbc:postgresql://h:5433/d?user=u&password=p%40ss&currentSchema=app&ApplicationName=x&ssl=false", `"app"`},
		"golang-migrate":             {"postgres://u:p%40ss@h:5433/d?x-migrations-table=m", ""},
		"Laravel and django-environ": {"pgsql://u:p%40ss@h:5433/d", ""},
		"words":                      {"host=h port=5433 user=u password=p@ss dbname=d", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := postgres.ParseConfig(func(name string) string {
				if name == "DATABASE_URL" {
					return forPostgres(test.url)
				}
				return ""
			})
			if err != nil {
				t.Fatal(err)
			}
			if conn.Host != "h" || conn.Port != 5433 || conn.User != "u" || conn.Password != "p@ss" || conn.Database != "d" || conn.RuntimeParams["search_path"] != test.searchPath {
				t.Errorf("%+v", conn)
			}
			delete(conn.RuntimeParams, "search_path")
			if len(conn.RuntimeParams) > 0 {
				t.Errorf("the server would be asked for %v", conn.RuntimeParams)
			}
		})
	}
}
