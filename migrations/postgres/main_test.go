package postgres_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// server is the one PostgreSQL of this test binary.
var server *postgrestest.Server

func TestMain(m *testing.M) {
	if os.Getenv(runnerURL) != "" {
		os.Exit(runAsRunner())
	}
	os.Exit(withServer(m.Run))
}

func withServer(run func() int) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var err error
	if server, err = postgrestest.Start(ctx, postgrestest.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Stop()
	return run()
}

// freshURL creates an empty database.
func freshURL(t testing.TB) string {
	t.Helper()
	url, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// config is how the tests run, against the database at url.
func config(t testing.TB, url string) postgres.Config {
	t.Helper()
	return postgres.Config{Conn: parse(t, url), Database: "orders", Environment: "test", Pod: "test-pod", ToolVersion: "test",
		LockTimeout: 300 * time.Millisecond, MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond}
}

func parse(t testing.TB, url string) *pgconn.Config {
	t.Helper()
	conn, err := postgres.ParseConfig(func(name string) string {
		if name == "DATABASE_URL" {
			return url
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// databaseName is the database that a URL leads to; roles, which the whole server shares, are named after it.
func databaseName(t testing.TB, url string) string {
	t.Helper()
	return parse(t, url).Database
}

// files makes a directory from pairs of name and content.
func files(pairs ...string) fs.FS {
	dir := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		dir[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return dir
}

// load reads a directory that must be right.
func load(t testing.TB, dir fs.FS) migrations.Set {
	t.Helper()
	set, err := migrations.Load(dir, migrations.LayoutAuto)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// numbered makes n migrations that each create a table t1, t2, ….
func numbered(n int) fstest.MapFS {
	dir := fstest.MapFS{}
	for i := 1; i <= n; i++ {
		dir[fmt.Sprintf("%04d_t%d.sql", i, i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "CREATE TABLE t%d (id bigint PRIMARY KEY);\n", i)}
	}
	return dir
}

// migrate runs and expects success.
func migrate(t testing.TB, cfg postgres.Config, set migrations.Set) migrations.Report {
	t.Helper()
	report, err := postgres.Migrate(t.Context(), cfg, set)
	if err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return report
}

// query returns the rows of one statement, columns joined by "|".
func query(t testing.TB, url, sql string) []string {
	t.Helper()
	rows, err := postgrestest.Query(t.Context(), url, sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// recorded lists the versions in the ledger, in the order of application.
func recorded(t testing.TB, cfg postgres.Config) []string {
	t.Helper()
	history, err := postgres.Status(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range history.Migrations {
		out = append(out, string(m.Version))
	}
	return out
}
