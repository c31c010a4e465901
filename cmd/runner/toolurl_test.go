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

// Which of several servers is asked, and that nothing but Kerberos will do, is for us too.
func TestWhatURLsDemandIsNotDropped(t *testing.T) {
	for url, want := range map[string]string{
		"jdbc:postgresql://h,i/d?targetServerType=primary":    "postgres://h,i/d?target_session_attrs=primary",
		"jdbc:postgresql://h,i/d?targetServerType=any&user=u": "postgres://h,i/d?user=u",
		"postgres://h/d?gssencmode=require":                   "postgres://h/d?gssencmode=require", // refused by who connects
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
		"libpq":                      {"postgresql://u:p%40ss@h:5433/d?keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3&gssencmode=disable&load_balance_hosts=random", ""},
		"JDBC on several servers":    {"jdbc:postgresql://h:5433/d?user=u&password=p%40ss&targetServerType=primary&loadBalanceHosts=true&hostRecheckSeconds=5&loggerLevel=OFF", ""},
		"asynchronous SQLAlchemy":    {"postgresql+asyncpg://u:p%40ss@h:5433/d?async_fallback=True&prepared_statement_cache_size=0", ""},
		"Doctrine":                   {"postgresql://u:p%40ss@h:5433/d?serverVersion=16&charset=utf8", ""},
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
